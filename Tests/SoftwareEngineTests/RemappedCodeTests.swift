import EngineInterface
import GuestMemory
import HostSystem
import MachineTypes
import Testing
import X86

/// Code whose page is mapped elsewhere, or written by a device, while links and tables lead to what was made of it; and data
/// that crosses from one page into another that does not follow it in RAM.
@Suite struct RemappedCodeTests {
  /// Two megabytes of linear addresses with a page table of their own.
  private static let window: UInt64 = 0x100_0000
  private static let table: UInt64 = 0x7000
  /// A second set of tables, which differs in the window's.
  private static let secondRoot: UInt64 = 0x8000
  private static let secondTable: UInt64 = 0xB000
  /// RAM that the window shows.
  private static let first: UInt64 = 0x40_0000
  private static let second: UInt64 = 0x40_1000
  private static let rounds: UInt64 = 500

  static let tiers = [
    ExecutionTier.interpreter, .translator, .standard,
    .init(translationThreshold: 0, maximumBlockLength: 1),
  ]

  private func fixture(
    _ tier: ExecutionTier, _ code: [UInt8], registers: [Int: UInt64]
  ) throws -> EngineFixture {
    let fixture = try EngineFixture(cpuid: HostOracleDifferentialTests.wideTable, execution: tier)
    var all = [UInt64](repeating: 0, count: 16)
    for (number, value) in registers { all[number] = value }
    try fixture.enter64BitMode(code, registers: all)
    func store(_ value: UInt64, _ address: UInt64) throws {
      try fixture.memory.store(value, at: GuestPhysicalAddress(address))
    }
    try store(Self.table | 3, 0x3000 + 8 * 8)
    try store(Self.first | 3, Self.table)
    try store(Self.second | 3, Self.table + 8)
    try store(0x9003, Self.secondRoot)
    try store(0xA003, 0x9000)
    for index in UInt64(0)..<512 { try store(index << 21 | 0x83, 0xA000 + index * 8) }
    try store(Self.secondTable | 3, 0xA000 + 8 * 8)
    try store(Self.second | 3, Self.secondTable)
    try store(Self.first | 3, Self.secondTable + 8)
    return fixture
  }

  /// CALL at an offset of the main code.
  private func call(_ target: UInt64, at offset: Int) -> [UInt8] {
    let distance = Int64(target) - Int64(EngineFixture.codeAddress) - Int64(offset) - 5
    return [0xE8] + (0..<4).map { UInt8(truncatingIfNeeded: distance >> (8 * $0)) }
  }

  /// DEC ECX and a jump back to offset 0 of `code` while it is not 0, then HLT.
  private func looped(_ code: [UInt8]) -> [UInt8] {
    let distance = -(code.count + 8)
    return code + [0xFF, 0xC9, 0x0F, 0x85]
      + (0..<4).map { UInt8(truncatingIfNeeded: distance >> (8 * $0)) } + [0xF4]
  }

  /// ADD EAX, constant; RET.
  private func function(_ constant: UInt32) -> [UInt8] {
    [0x05] + (0..<4).map { UInt8(truncatingIfNeeded: constant >> (8 * $0)) } + [0xC3]
  }

  @Test(arguments: tiers) func `a page of code that is mapped elsewhere is executed from there`(
    tier: ExecutionTier
  ) throws {
    // call window; xor [rsi], rdi; invlpg [rbx]; call rbx
    let code = looped(call(Self.window, at: 0) + [0x48, 0x31, 0x3E, 0x0F, 0x01, 0x3B, 0xFF, 0xD3])
    let fixture = try fixture(
      tier, code,
      registers: [
        1: Self.rounds, 3: Self.window, 6: Self.table, 7: Self.first ^ Self.second,
      ])
    try fixture.memory.write(function(1), at: GuestPhysicalAddress(Self.first))
    try fixture.memory.write(function(1000), at: GuestPhysicalAddress(Self.second))
    #expect(try fixture.run() == .halt)
    #expect(try fixture.cpu.saveState().generalRegisters[0] == 1001 * Self.rounds)
  }

  @Test(arguments: tiers) func `another address space has its own code at the same address`(
    tier: ExecutionTier
  ) throws {
    // call window; xor rdi, rsi; mov cr3, rdi; call rbx
    let code = looped(
      call(Self.window, at: 0) + [0x48, 0x31, 0xF7, 0x0F, 0x22, 0xDF, 0xFF, 0xD3])
    let fixture = try fixture(
      tier, code,
      registers: [
        1: Self.rounds, 3: Self.window, 6: 0x1000 ^ Self.secondRoot, 7: 0x1000,
      ])
    try fixture.memory.write(function(1), at: GuestPhysicalAddress(Self.first))
    try fixture.memory.write(function(1000), at: GuestPhysicalAddress(Self.second))
    #expect(try fixture.run() == .halt)
    #expect(try fixture.cpu.saveState().generalRegisters[0] == 1001 * Self.rounds)
  }

  @Test(arguments: tiers) func `an instruction whose second page is mapped elsewhere ends there`(
    tier: ExecutionTier
  ) throws {
    // call to two bytes before the second page; add r8, rax; xor [rsi], rdi; invlpg [rbx]
    let code = looped(
      call(Self.window + 0xFFE, at: 0) + [
        0x49, 0x01, 0xC0, 0x48, 0x31, 0x3E, 0x0F, 0x01, 0x3B,
      ])
    let third = Self.second + 0x1000
    let fixture = try fixture(
      tier, code,
      registers: [
        1: Self.rounds, 3: Self.window + 0x1000, 6: Self.table + 8, 7: Self.second ^ third,
      ])
    // mov eax, constant; ret
    try fixture.memory.write([0xB8, 0x01], at: GuestPhysicalAddress(Self.first + 0xFFE))
    try fixture.memory.write([0, 0, 0, 0xC3], at: GuestPhysicalAddress(Self.second))
    try fixture.memory.write([1, 0, 0, 0xC3], at: GuestPhysicalAddress(third))
    #expect(try fixture.run() == .halt)
    #expect(try fixture.cpu.saveState().generalRegisters[8] == (1 + 0x101) * Self.rounds / 2)
  }

  @Test(arguments: tiers) func `code that a device writes is executed as written`(
    tier: ExecutionTier
  ) throws {
    // call window; out 80h, al
    let code = looped(call(Self.window, at: 0) + [0xE6, 0x80])
    let fixture = try fixture(tier, code, registers: [1: Self.rounds])
    try fixture.memory.write(function(0), at: GuestPhysicalAddress(Self.first))
    var sum: UInt64 = 0
    var number: UInt32 = 0
    while case .portWrite = try fixture.run() {
      number += 1
      sum += number < Self.rounds ? UInt64(number) : 0
      let range = GuestRange(
        start: GuestPhysicalAddress(Self.first + 1), byteCount: 4)
      let bytes = (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
      try fixture.memory.segments(of: [range]).write(bytes)
      fixture.memory.noteTransfer(to: [range])
    }
    let state = try fixture.cpu.saveState()
    #expect(state.generalRegisters[1] == 0)
    #expect(state.generalRegisters[0] == sum)
  }

  @Test func `operands of every width cross into a page that lies elsewhere in RAM`() throws {
    // The pages of the window lie in RAM in descending order. rsi walks over the boundary, rdi over another.
    var code: [UInt8] = []
    code += [0xF3, 0x0F, 0x6F, 0x0E, 0xF3, 0x0F, 0x7F, 0x0F]  // movdqu xmm1, [rsi]; [rdi], xmm1
    code += [0xC5, 0xFE, 0x6F, 0x16, 0xC5, 0xFE, 0x7F, 0x57, 0x40]  // vmovdqu ymm2; [rdi + 64]
    code += [0x48, 0x8B, 0x06, 0x48, 0x89, 0x87, 0x80, 0, 0, 0]  // mov rax; [rdi + 128]
    code += [0x8B, 0x06, 0x03, 0x46, 0x08, 0x89, 0x87, 0x90, 0, 0, 0]  // a group of two
    code += [0x66, 0x8B, 0x06, 0x66, 0x89, 0x87, 0xA0, 0, 0, 0]  // mov ax; [rdi + 160]
    code += [0xF2, 0x0F, 0x10, 0x1E, 0xF2, 0x0F, 0x11, 0x9F, 0xB0, 0, 0, 0]  // movsd
    code += [0x48, 0xFF, 0xC6, 0x48, 0xFF, 0xC7]  // inc rsi; inc rdi
    var results: [[UInt8]] = []
    for tier in Self.tiers {
      let fixture = try fixture(
        tier, looped(code),
        registers: [1: 80, 6: Self.window + 0xFD0, 7: Self.window + 0x2E00])
      for page in UInt64(0)..<4 {
        try fixture.memory.store(
          Self.first + (3 - page) << 12 | 3, at: GuestPhysicalAddress(Self.table + page * 8))
      }
      var numbers = Numbers(state: 0x1234_5678_9ABC_DEF1)
      let bytes = (0..<0x4000).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
      try fixture.memory.write(bytes, at: GuestPhysicalAddress(Self.first))
      #expect(try fixture.run() == .halt)
      let end = try fixture.memory.bytes(at: GuestPhysicalAddress(Self.first), count: 0x4000)
      #expect(end != bytes)
      results.append(end)
    }
    for result in results { #expect(result == results[0]) }
  }
}
