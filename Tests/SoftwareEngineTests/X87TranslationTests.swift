import EngineInterface
import GuestMemory
import MachineTypes
import Testing
import X86

/// Blocks of x87 and MMX instructions, some of which fault or have unmasked exceptions. The registers, the last instruction's
/// opcode and addresses, and what the handler finds must be what the interpreter leaves.
@Suite struct X87TranslationTests {
  private struct Result: Equatable {
    var exit: String
    var state: VirtualCPUState
    var retired: UInt64
    var memory: [UInt8]
  }

  @Test(arguments: [(64, true, 8_000), (3, true, 2_000), (1, true, 1_000), (64, false, 4_000)])
  func `x87 instructions do as in the interpreter`(
    length: Int, is64Bit: Bool, count: Int
  ) throws {
    let table = HostOracleDifferentialTests.table
    let fixtures = [
      try EngineFixture(cpuid: table, execution: .interpreter),
      try EngineFixture(
        cpuid: table,
        execution: ExecutionTier(translationThreshold: 0, maximumBlockLength: length)),
    ]
    var generator = X87BlockGenerator(numbers: Numbers(state: 0x87_1234_5678_9ABC))
    var faultCount = 0
    for number in 0..<count {
      let block = generator.block(is64Bit: is64Bit)
      var registers = (0..<16).map { _ in is64Bit ? generator.next() : generator.next() >> 32 }
      for pointer in X87BlockGenerator.pointers {
        registers[pointer] = EngineFixture.dataAddress + 0x800
      }
      // In some of the blocks one pointer leads to where accesses fault.
      if is64Bit, number % 2 == 0 {
        registers[X87BlockGenerator.pointers[number / 2 % 3]] =
          ExceptionFixture.missing - 0x40 + generator.next() % 0x20
      }
      registers[4] = EngineFixture.stackTop
      let memory = generator.memory()
      let results = try fixtures.map {
        try run($0, block, registers, memory, is64Bit: is64Bit)
      }
      if results[0].state.instructionPointer < EngineFixture.codeAddress { faultCount += 1 }
      guard results[0] == results[1] else {
        let bytes = block.map { String($0, radix: 16) }.joined(separator: " ")
        Issue.record("block \(number): \(describe(results[0], results[1])); \(bytes)")
        return
      }
    }
    if is64Bit { #expect(faultCount > count / 10 && faultCount < count * 9 / 10) }
  }

  private func run(
    _ fixture: EngineFixture, _ block: [UInt8], _ registers: [UInt64], _ memory: [UInt8],
    is64Bit: Bool
  ) throws -> Result {
    let pages = [EngineFixture.dataAddress, ExceptionFixture.missing - 4096]
      .map { GuestPhysicalAddress($0) }
    for page in pages { try fixture.memory.write(memory, at: page) }
    if is64Bit {
      try fixture.enter64BitMode(block + [0xF4], registers: registers)
      try ExceptionFixture.prepareMemory(fixture)
      var state = try fixture.cpu.saveState()
      ExceptionFixture.prepareState(&state)
      try fixture.cpu.restoreState(state)
    } else {
      try fixture.enter32BitMode(block + [0xF4], registers: registers)
    }
    let exit = try fixture.run()
    return Result(
      exit: "\(exit)", state: try fixture.cpu.saveState(),
      retired: fixture.cpu.retiredInstructionCount,
      memory: try pages.flatMap { try fixture.memory.bytes(at: $0, count: 4096) })
  }

  private func describe(_ a: Result, _ b: Result) -> String {
    func hex(_ value: UInt64) -> String { String(value, radix: 16) }
    if a.exit != b.exit { return "\(a.exit) and \(b.exit)" }
    let (x, y) = (a.state, b.state)
    if x.instructionPointer != y.instructionPointer {
      return "RIP \(hex(x.instructionPointer)) and \(hex(y.instructionPointer))"
    }
    if x.extendedState != y.extendedState {
      for position in x.extendedState.indices
      where x.extendedState[position] != y.extendedState[position] {
        let (first, second) = (x.extendedState[position], y.extendedState[position])
        return "byte \(position) of the extended state: \(first) and \(second)"
      }
    }
    if a.retired != b.retired { return "\(a.retired) and \(b.retired) retired" }
    for number in 0..<16 where x.generalRegisters[number] != y.generalRegisters[number] {
      return "r\(number) \(hex(x.generalRegisters[number])) and \(hex(y.generalRegisters[number]))"
    }
    return a.memory != b.memory ? "memory" : "other state"
  }
}

/// Makes the blocks. RBX, RSI and RDI hold addresses.
private struct X87BlockGenerator {
  var numbers: Numbers
  static let pointers = [3, 6, 7]

  mutating func next() -> UInt64 { numbers.next() }

  private mutating func pick<T>(_ values: [T]) -> T {
    values[Int((next() >> 8) % UInt64(values.count))]
  }

  /// A page of which much is ordinary numbers.
  mutating func memory() -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < 4096 {
      let value: UInt64 =
        switch (next() >> 8) % 4 {
        case 0: Double(Int32(truncatingIfNeeded: next())).bitPattern
        case 1: UInt64(Float(Int16(truncatingIfNeeded: next())).bitPattern) << 32 | 0x37F
        case 2: next() % 1000
        default: next()
        }
      bytes += (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    return bytes
  }

  mutating func block(is64Bit: Bool) -> [UInt8] {
    var bytes: [UInt8] = (next() >> 8) % 4 == 0 ? [] : [0xD9, 0xE8, 0xD9, 0xEB]  // fld1; fldpi
    for _ in 0..<4 + (next() >> 8) % 20 {
      switch (next() >> 8) % 16 {
      case 0...4: bytes += registerForm()
      case 5...8: bytes += access(pick([0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF]))
      case 9, 10: bytes += mmx()
      case 11: bytes += pick([[0x9B], [0xDF, 0xE0], [0xDB, 0xE2], [0x0F, 0x77], [0xDB, 0xE3]])
      case 12: bytes += [0xEB, 0x00]  // jmp to the next instruction
      case 13: bytes += pick([[0x01, 0xC8], [0x29, 0xD1], [0x83, 0xF8, 0x10], [0x21, 0xD0]])
      case 14 where is64Bit: bytes += [0x48] + access(0xDD)
      default: bytes += [0xD9, pick([0xE8, 0xE9, 0xEA, 0xEB, 0xEC, 0xEE])]
      }
    }
    return bytes
  }

  private mutating func registerForm() -> [UInt8] {
    // Some of these are undefined.
    [0xD8 | UInt8((next() >> 8) % 8), 0xC0 | UInt8((next() >> 8) % 64)]
  }

  private mutating func access(_ escape: UInt8) -> [UInt8] {
    var group = UInt8((next() >> 8) % 8)
    // A control word seldom, and FRSTOR and FLDENV too: what they load unmasks exceptions.
    if escape == 0xD9 || escape == 0xDD, group == 4 || group == 5, (next() >> 8) % 4 != 0 {
      group = 0
    }
    return [escape, 0x40 | group << 3 | UInt8(pick(Self.pointers)), UInt8((next() >> 8) % 64)]
  }

  private mutating func mmx() -> [UInt8] {
    let opcode: [UInt8] = pick([
      [0x0F, 0x6E], [0x0F, 0x7E], [0x0F, 0x6F], [0x0F, 0x7F], [0x0F, 0xFC], [0x0F, 0xEF],
      [0x0F, 0x2A], [0x66, 0x0F, 0x2A], [0x0F, 0x2C],
    ])
    if (next() >> 8) % 2 == 0 {
      // The pointers stay what they are.
      let rm: UInt8 = pick([0, 1, 2, 5])
      return opcode + [0xC0 | UInt8((next() >> 8) % 8) << 3 | rm]
    }
    let reg = UInt8((next() >> 8) % 8)
    return opcode + [0x40 | reg << 3 | UInt8(pick(Self.pointers)), UInt8((next() >> 8) % 64)]
  }
}
