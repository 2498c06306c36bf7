import EngineInterface
import MachineTypes
import Testing
import X86

struct InterpreterTests {
  static let table = CPUIDTable(entries: [
    CPUIDEntry(leaf: 1, edx: 0x078B_FBFF), CPUIDEntry(leaf: 0x8000_0001, edx: 0x2C10_0800),
  ])

  @Test func `a loop runs to HLT with the right sum and count`() throws {
    let fixture = try EngineFixture(cpuid: Self.table)
    // mov ecx, 1000000; xor eax, eax; l: add rax, rcx; dec ecx; jnz l; hlt
    try fixture.enter64BitMode([
      0xB9, 0x00, 0xE1, 0xF5, 0x05, 0x31, 0xC0, 0x48, 0x01, 0xC8, 0xFF, 0xC9, 0x75, 0xF9, 0xF4,
    ])
    let clock = ContinuousClock()
    let start = clock.now
    #expect(try fixture.run() == .halt)
    print("loop:", clock.now - start)
    let state = try fixture.cpu.saveState()
    #expect(state.generalRegisters[0] == 5_000_000_050_000_000)
    #expect(fixture.cpu.retiredInstructionCount == 300_000_003)
  }
}
