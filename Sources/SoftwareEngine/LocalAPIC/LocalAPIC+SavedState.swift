import MachineTypes
import Synchronization

/// The register page as KVM_GET_LAPIC lays it out: 1,024 bytes, registers at their offsets.
///
/// IA32_APIC_BASE and IA32_TSC_DEADLINE are saved as MSRs; the base is to be restored before the page, the
/// deadline after it.
extension LocalAPIC {
  func save() -> [UInt8] {
    var page = [UInt8](repeating: 0, count: 1024)
    settleTimer()
    let now = clock.now.nanoseconds
    state.withLock { state in
      for offset in stride(from: UInt32(0x20), through: 0x3E0, by: 16) {
        let value =
          offset == 0x390 ? state.currentCount(now) : state.register(offset) ?? 0
        for byte in 0..<4 {
          page[Int(offset) + byte] = UInt8(truncatingIfNeeded: value >> (8 * UInt32(byte)))
        }
      }
    }
    return page
  }

  /// Returns false for a page that is not one.
  func restore(_ page: [UInt8]) -> Bool {
    guard page.count == 1024 else { return false }
    func word(_ offset: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(page[offset + $1]) << (8 * UInt32($1)) }
    }
    let now = clock.now.nanoseconds
    state.withLock { state in
      if !state.isX2APIC {
        state.id = word(0x20) >> 24
        state.logicalDestination = word(0xD0) & 0xFF00_0000
      }
      state.destinationFormat = word(0xE0) | 0x0FFF_FFFF
      state.taskPriority = page[0x80]
      for index in 0..<8 {
        state.inService.setRegister(index, word(0x100 + index * 16))
        state.triggerMode.setRegister(index, word(0x180 + index * 16))
        state.requested.setRegister(index, word(0x200 + index * 16))
      }
      // First enabled, so that the local vectors keep their masks as saved.
      state.spurious = 1 << 8
      for index in 0..<6 {
        let offset = 0x320 + index * 16
        if index == 0 {
          state.localVectors[0] = word(offset) & 0x700FF
        } else {
          _ = state.setRegister(UInt32(offset), word(offset))
        }
      }
      state.setSpurious(word(0xF0))
      state.errorStatus = word(0x280)
      state.pendingErrors = 0
      state.command = UInt64(word(0x310)) << 32 | UInt64(word(0x300))
      state.restoreCount(word(0x380), current: word(0x390), divider: word(0x3E0), now)
    }
    armTimer()
    return true
  }
}

extension LocalAPIC.State {
  /// Puts the timer's start where the current count comes out right.
  fileprivate mutating func restoreCount(
    _ initial: UInt32, current: UInt32, divider: UInt32, _ now: UInt64
  ) {
    initialCount = timerMode == .deadline ? 0 : initial
    divideConfiguration = divider & 0xB
    tscDeadline = 0
    let remaining = min(current, initialCount)
    // A one-shot timer at 0 has expired; a periodic one is there for no time at all.
    isCounting = initialCount != 0 && (remaining != 0 || timerMode == .periodic)
    timerStart = now &- UInt64(initialCount - remaining) &* timerDivisor
  }
}
