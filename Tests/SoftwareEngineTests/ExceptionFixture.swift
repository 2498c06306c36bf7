import EngineInterface
import GuestMemory
import MachineTypes
import Testing
import X86

/// Code at CPL 0 with a handler for each exception, which halts.
enum ExceptionFixture {
  static let handlers: UInt64 = 0x6000
  /// A page that is not present.
  static let missing: UInt64 = 0x80_0000
  static let device: UInt64 = 0x2000_0000

  /// Runs `code` with a handler for each exception, which halts.
  static func run(
    _ code: [UInt8], _ registers: [UInt64] = [], prepare: (inout VirtualCPUState) -> Void = { _ in }
  ) throws -> (fixture: EngineFixture, exit: VMExit) {
    let fixture = try EngineFixture(cpuid: HostOracleDifferentialTests.wideTable)
    try fixture.enter64BitMode(code + [0xF4], registers: registers)
    try prepareMemory(fixture)
    var state = try fixture.cpu.saveState()
    prepareState(&state)
    prepare(&state)
    try fixture.cpu.restoreState(state)
    return (fixture, try fixture.run())
  }

  /// Makes the missing page missing, and descriptor tables and handlers.
  static func prepareMemory(_ fixture: EngineFixture) throws {
    try fixture.memory.store(UInt64(0), at: GuestPhysicalAddress(0x3000 + 4 * 8))
    for (index, descriptor) in [0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF].enumerated() {
      try fixture.memory.store(
        UInt64(descriptor), at: GuestPhysicalAddress(0x4000 + UInt64(index) * 8))
    }
    for vector in UInt64(0)..<32 {
      let handler = Self.handlers + vector * 16
      try fixture.memory.store(
        handler | 8 << 16 | 0x8E00 << 32, at: GuestPhysicalAddress(0x5000 + vector * 16))
      try fixture.memory.store(UInt64(0), at: GuestPhysicalAddress(0x5008 + vector * 16))
      try fixture.memory.write([0xF4], at: GuestPhysicalAddress(handler))
    }
  }

  static func prepareState(_ state: inout VirtualCPUState) {
    state.globalDescriptorTable = DescriptorTableState(base: 0x4000, limit: 23)
    state.interruptDescriptorTable = DescriptorTableState(base: 0x5000, limit: 511)
  }

  /// The exception that ended the code; `nil` where it ran to its own HLT.
  static func exception(
    _ code: [UInt8], _ registers: [UInt64] = [], prepare: (inout VirtualCPUState) -> Void = { _ in }
  ) throws -> UInt64? {
    let (fixture, exit) = try run(code, registers, prepare: prepare)
    #expect(exit == .halt)
    let rip = try fixture.cpu.saveState().instructionPointer
    return rip < EngineFixture.codeAddress ? (rip - Self.handlers) / 16 : nil
  }
}
