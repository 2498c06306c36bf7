import EngineInterface
import Foundation
import GuestMemory
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
      0xB9, 0x40, 0x42, 0x0F, 0x00, 0x31, 0xC0, 0x48, 0x01, 0xC8, 0xFF, 0xC9, 0x75, 0xF9, 0xF4,
    ])
    #expect(try fixture.run() == .halt)
    let state = try fixture.cpu.saveState()
    #expect(state.generalRegisters[0] == 500_000_500_000)
    #expect(fixture.cpu.retiredInstructionCount == 3_000_003)
  }

  @Test func `a budget stops the CPU exactly at its end, also in the middle of a block`() throws {
    let fixture = try EngineFixture(cpuid: Self.table)
    // inc rax, seven times; hlt
    try fixture.enter64BitMode(
      Array([[UInt8]](repeating: [0x48, 0xFF, 0xC0], count: 7).joined()) + [0xF4])
    try fixture.cpu.setInstructionBudget(3)
    #expect(try fixture.run() == .budgetExhausted)
    var state = try fixture.cpu.saveState()
    #expect(state.generalRegisters[0] == 3)
    #expect(state.instructionPointer == EngineFixture.codeAddress + 9)
    #expect(try fixture.run() == .budgetExhausted)
    try fixture.cpu.setInstructionBudget(nil)
    #expect(try fixture.run() == .halt)
    state = try fixture.cpu.saveState()
    #expect(state.generalRegisters[0] == 7)
    #expect(fixture.cpu.retiredInstructionCount == 8)
  }

  @Test func `an instruction that reads and writes a device leaves twice and completes once`()
    throws
  {
    let fixture = try EngineFixture(cpuid: Self.table)
    // add dword ptr [rbx], ecx; hlt — at an address that is no RAM
    try fixture.enter64BitMode([0x01, 0x0B, 0xF4], registers: [0, 5, 0, 0x2000_0000])
    let device = GuestPhysicalAddress(0x2000_0000)
    #expect(try fixture.run() == .mmioRead(device, .doubleword))
    #expect(try fixture.cpu.run(.completeRead(37)) == .mmioWrite(device, .doubleword, 42))
    #expect(try fixture.run() == .halt)
    #expect(fixture.cpu.retiredInstructionCount == 2)
  }

  @Test func `a port is read once, and its value lands in the accumulator`() throws {
    let fixture = try EngineFixture(cpuid: Self.table)
    // in eax, dx; hlt
    try fixture.enter64BitMode([0xED, 0xF4], registers: [UInt64.max, 0, 0x3F8])
    #expect(try fixture.run() == .portRead(PortAddress(0x3F8), .doubleword))
    #expect(try fixture.cpu.run(.completeRead(0x1234_5678)) == .halt)
    #expect(try fixture.cpu.saveState().generalRegisters[0] == 0x1234_5678)
  }

  @Test func `code that rewrites its own next instruction runs what it wrote`() throws {
    let fixture = try EngineFixture(cpuid: Self.table)
    // mov byte ptr [rip + 1], 0x2A ; mov al, 0 ; hlt — the immediate of MOV AL is patched
    try fixture.enter64BitMode([0xC6, 0x05, 0x01, 0x00, 0x00, 0x00, 0x2A, 0xB0, 0x00, 0xF4])
    #expect(try fixture.run() == .halt)
    #expect(try fixture.cpu.saveState().generalRegisters[0] == 0x2A)
  }

  @Test func `a device's store to decoded code is seen`() throws {
    let fixture = try EngineFixture(cpuid: Self.table)
    // mov al, 1; out 0x80, al; jmp to the start
    try fixture.enter64BitMode([0xB0, 0x01, 0xE6, 0x80, 0xEB, 0xFA])
    let port = PortAddress(0x80)
    #expect(try fixture.run() == .portWrite(port, .byte, 1))
    #expect(try fixture.run() == .portWrite(port, .byte, 1))
    try fixture.memory.write([0x07], at: GuestPhysicalAddress(EngineFixture.codeAddress + 1))
    #expect(try fixture.run() == .portWrite(port, .byte, 7))
  }

  @Test func `a triple fault is a shutdown`() throws {
    let fixture = try EngineFixture(cpuid: Self.table)
    try fixture.enter64BitMode([0x0F, 0x0B])
    #expect(try fixture.run() == .shutdown)
  }

  @Test func `a kick is never lost`() throws {
    let fixture = try EngineFixture(cpuid: Self.table)
    try fixture.enter64BitMode([0xEB, 0xFE])
    fixture.cpu.kick()
    #expect(try fixture.run() == .interrupted)
    let cpu = fixture.cpu
    let thread = Thread { cpu.kick() }
    thread.start()
    #expect(try fixture.run() == .interrupted)
  }

  @Test func `a saved state restored elsewhere goes on as if nothing had happened`() throws {
    let first = try EngineFixture(cpuid: Self.table)
    let code: [UInt8] = [
      0xB9, 0x10, 0x00, 0x00, 0x00, 0x48, 0x01, 0xC8, 0xFF, 0xC9, 0x75, 0xF9, 0xF4,
    ]
    try first.enter64BitMode(code)
    try first.cpu.setInstructionBudget(20)
    #expect(try first.run() == .budgetExhausted)
    let saved = try first.cpu.saveState()
    let second = try EngineFixture(cpuid: Self.table)
    try second.enter64BitMode(code)
    try second.cpu.restoreState(saved)
    #expect(try second.cpu.saveState() == saved)
    #expect(try second.run() == .halt)
    #expect(try second.cpu.saveState().generalRegisters[0] == 136)
  }
}
