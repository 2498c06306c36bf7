import MachineTypes
import Synchronization

/// The register page (SDM 3A table 11-1), by offset.
extension LocalAPIC {
  func read(_ offset: UInt32) -> UInt32 {
    if offset == 0x390 { return currentCount() }
    if let value = state.withLock({ $0.register(offset) }) { return value }
    note(.illegalRegisterAddress)
    return 0
  }

  /// Returns the vector whose EOI the I/O APICs are to hear of.
  func write(_ offset: UInt32, _ value: UInt32) -> UInt8? {
    switch offset {
    case 0xB0: return endOfInterrupt()
    case 0x300:
      let command = state.withLock { state in
        state.command = state.command & ~0xFFFF_FFFF | UInt64(value & 0x000C_CFFF)
        return state.command
      }
      bus.send(command, from: self, isX2APIC: false)
    case 0x310:
      state.withLock { $0.command = $0.command & 0xFFFF_FFFF | UInt64(value & 0xFF00_0000) << 32 }
    case 0x320: setTimerVector(value)
    case 0x380: setInitialCount(value)
    case 0x3E0: setDivideConfiguration(value)
    case 0xF0:
      settleTimer()
      state.withLock { $0.setSpurious(value) }
      // A timer that got masked needs no alarm any more.
      armTimer()
    default:
      let isRegister = state.withLock { $0.setRegister(offset, value) }
      if !isRegister { note(.illegalRegisterAddress) }
    }
    return nil
  }

  /// Dismisses the highest interrupt in service.
  func endOfInterrupt() -> UInt8? {
    state.withLock { state in
      guard let vector = state.inService.highest else { return nil }
      state.inService[vector] = false
      return state.triggerMode[vector] && state.spurious & 1 << 12 == 0 ? vector : nil
    }
  }
}

extension LocalAPIC.State {
  static let version: UInt32 = 0x0005_0014

  /// `nil` for none. The current count is not among them.
  func register(_ offset: UInt32) -> UInt32? {
    switch offset {
    case 0x20: isX2APIC ? id : id << 24
    case 0x30: Self.version
    case 0x80: UInt32(taskPriority)
    case 0x90: UInt32(processorPriority)
    case 0xA0: UInt32(processorPriority)
    // EOI, which is written only, and remote reads, which no processor has any more.
    case 0xB0, 0xC0: 0
    case 0xD0: isX2APIC ? (id >> 4) << 16 | 1 << (id & 15) : logicalDestination
    case 0xE0: destinationFormat
    case 0xF0: spurious
    case 0x100...0x170: inService.register(Int((offset - 0x100) >> 4))
    case 0x180...0x1F0: triggerMode.register(Int((offset - 0x180) >> 4))
    case 0x200...0x270: requested.register(Int((offset - 0x200) >> 4))
    case 0x280: errorStatus
    case 0x300: UInt32(truncatingIfNeeded: command)
    case 0x310: UInt32(truncatingIfNeeded: command >> 32)
    case 0x320...0x370: localVectors[Int((offset - 0x320) >> 4)]
    case 0x380: initialCount
    case 0x3E0: divideConfiguration
    default: nil
    }
  }

  /// SVR. A software-disabled APIC masks its local interrupts (SDM 3A 11.4.7.2).
  mutating func setSpurious(_ value: UInt32) {
    spurious = value & 0x3FF
    if isMaskForced { for index in 0..<6 { localVectors[index] |= 1 << 16 } }
  }

  /// Which bits of the local vectors are writable: timer, thermal, performance, LINT0, LINT1, error.
  private static func localVectorMask(_ index: Int) -> UInt32 {
    switch index {
    case 0: 0x700FF
    case 1, 2: 0x107FF
    case 3, 4: 0x1A7FF
    default: 0x100FF
    }
  }

  /// Writes a register that has no effect beyond itself. Returns whether there is one; what is written to
  /// a read-only one is lost.
  mutating func setRegister(_ offset: UInt32, _ value: UInt32) -> Bool {
    switch offset {
    case 0x20: if !isX2APIC { id = value >> 24 }
    case 0x80: taskPriority = UInt8(truncatingIfNeeded: value)
    case 0xD0: logicalDestination = value & 0xFF00_0000
    case 0xE0: destinationFormat = value | 0x0FFF_FFFF
    case 0x280:
      errorStatus = pendingErrors
      pendingErrors = 0
    case 0x330...0x370:
      let index = Int((offset - 0x320) >> 4)
      localVectors[index] =
        value & Self.localVectorMask(index) | (isMaskForced ? 1 << 16 : 0)
    case 0x390: break
    default: return register(offset) != nil
    }
    return true
  }
}
