import MachineTypes
import Synchronization

/// The register page as KVM_GET_LAPIC lays it out: 1,024 bytes, registers at their offsets.
extension LocalAPIC {
  func save() -> [UInt8] {
    var page = [UInt8](repeating: 0, count: 1024)
    for offset in stride(from: UInt32(0x20), through: 0x3E0, by: 16) {
      let value = read(offset)
      for byte in 0..<4 {
        page[Int(offset) + byte] = UInt8(truncatingIfNeeded: value >> (8 * byte))
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
      state.id = state.isX2APIC ? word(0x20) : word(0x20) >> 24
      state.taskPriority = page[0x80]
      state.logicalDestination = word(0xD0)
      state.destinationFormat = word(0xE0)
      state.spurious = word(0xF0)
      for index in 0..<8 {
        state.inService.setRegister(index, word(0x100 + index * 16))
        state.triggerMode.setRegister(index, word(0x180 + index * 16))
        state.requested.setRegister(index, word(0x200 + index * 16))
      }
      state.errorStatus = word(0x280)
      state.command = UInt64(word(0x310)) << 32 | UInt64(word(0x300))
      for index in 0..<6 { state.localVectors[index] = word(0x320 + index * 16) }
      state.initialCount = word(0x380)
      state.divideConfiguration = word(0x3E0)
      // Put the start where the current count comes out right.
      let elapsed = UInt64(state.initialCount &- word(0x390)) &* state.timerDivisor
      state.timerStart = now &- (elapsed > now ? now : elapsed)
    }
    armTimer()
    return true
  }
}
