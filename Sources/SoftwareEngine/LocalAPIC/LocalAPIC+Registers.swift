import MachineTypes
import Synchronization

/// The register page (SDM 3A table 11-1), by offset.
extension LocalAPIC {
  func read(_ offset: UInt32) -> UInt32 {
    if offset == 0x390 { return currentCount() }
    return state.withLock { $0.register(offset) }
  }

  /// Returns the vector whose EOI the I/O APICs are to hear of.
  func write(_ offset: UInt32, _ value: UInt32) -> UInt8? {
    switch offset {
    case 0xB0: return endOfInterrupt()
    case 0x300:
      let command = state.withLock { state in
        state.command = state.command & ~0xFFFF_FFFF | UInt64(value & ~(1 << 12))
        return state.command
      }
      bus.send(command, from: self, isX2APIC: false)
    case 0x310: state.withLock { $0.command = $0.command & 0xFFFF_FFFF | UInt64(value) << 32 }
    case 0x380: setInitialCount(value)
    case 0x320, 0x3E0:
      setTimerMode(offset, value)
    default:
      let hasNewError = state.withLock { $0.setRegister(offset, value) }
      if hasNewError { raiseLocal(.error) }
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

  func register(_ offset: UInt32) -> UInt32 {
    switch offset {
    case 0x20: isX2APIC ? id : id << 24
    case 0x30: Self.version
    case 0x80: UInt32(taskPriority)
    case 0x90: UInt32(processorPriority)
    case 0xA0: UInt32(processorPriority)
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
    default: 0
    }
  }

  /// Writes a register that has no effect beyond itself. Returns whether an error is to be raised.
  mutating func setRegister(_ offset: UInt32, _ value: UInt32) -> Bool {
    switch offset {
    case 0x20: if !isX2APIC { id = value >> 24 }
    case 0x80: taskPriority = UInt8(truncatingIfNeeded: value)
    case 0xD0: logicalDestination = value & 0xFF00_0000
    case 0xE0: destinationFormat = value | 0x0FFF_FFFF
    case 0xF0:
      spurious = value & 0x3FF
      if spurious & 1 << 8 == 0 {
        for index in 0..<6 { localVectors[index] |= 1 << 16 }
      }
    case 0x280:
      errorStatus = pendingErrors
      pendingErrors = 0
    case 0x330...0x370:
      let index = Int((offset - 0x320) >> 4)
      let masks: [UInt32] = [0, 0x117FF, 0x117FF, 0x1F7FF, 0x1F7FF, 0x110FF]
      var entry = value & masks[index]
      if spurious & 1 << 8 == 0 { entry |= 1 << 16 }
      localVectors[index] = entry
    default:
      pendingErrors |= 1 << 7
      return true
    }
    return false
  }
}
