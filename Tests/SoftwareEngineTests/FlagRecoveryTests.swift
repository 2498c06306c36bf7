import EngineInterface
import GuestMemory
import MachineTypes
import Testing
import X86

/// Blocks dense with instructions that write flags, accesses that look the TLB up, and readers of flags; some accesses
/// fault. What the handler finds, flags above all, must be what the interpreter leaves.
@Suite struct FlagRecoveryTests {
  /// What can be told apart afterwards. AF is undefined after logic and shifts.
  private static let arithmeticFlags: UInt64 = 0x8C5
  /// The last bytes before a page that is not present.
  private static let edge: UInt64 = ExceptionFixture.missing - 0x40

  private struct Result: Equatable {
    var exit: String
    var registers: [UInt64]
    var flags: UInt64
    var instructionPointer: UInt64
    var faultAddress: UInt64
    var retired: UInt64
    var memory: [UInt8]
    var stack: [UInt8]
  }

  @Test(arguments: [(64, 1, 20_000), (3, 1, 4_000), (64, 2, 4_000)])
  func `an exception finds the flags of the instruction before`(
    length: Int, cpuCount: Int, count: Int
  ) throws {
    try compare(length: length, cpuCount: cpuCount, count: count) { $0.block() }
  }

  @Test(arguments: [(64, 10_000), (3, 2_000)])
  func `an exception in any round of a loop finds the flags of the instruction before`(
    length: Int, count: Int
  ) throws {
    try compare(length: length, cpuCount: 1, count: count) { $0.loop() }
  }

  /// Here what interrupts a block is a device's register behind the end of RAM.
  @Test(arguments: [(64, 10_000), (3, 2_000)])
  func `an exit of 32-bit code leaves the flags of the instruction before`(
    length: Int, count: Int
  ) throws {
    try compare(length: length, cpuCount: 1, count: count, is64Bit: false) { $0.block() }
  }

  private func compare(
    length: Int, cpuCount: Int, count: Int, is64Bit: Bool = true,
    _ make: (inout FlagBlockGenerator) -> [UInt8]
  ) throws {
    let table = HostOracleDifferentialTests.table
    let fixtures = [
      try EngineFixture(cpuid: table, cpuCount: cpuCount, execution: .interpreter),
      try EngineFixture(
        cpuid: table, cpuCount: cpuCount,
        execution: ExecutionTier(translationThreshold: 0, maximumBlockLength: length)),
    ]
    var generator = FlagBlockGenerator(
      numbers: Numbers(state: 0x1234_5678_9ABC_DEF1), is64Bit: is64Bit)
    var faultCount = 0
    for number in 0..<count {
      let block = make(&generator)
      var registers = (0..<16).map { _ in is64Bit ? generator.next() : generator.next() >> 32 }
      for (position, pointer) in generator.pointers.enumerated() {
        registers[pointer] = EngineFixture.dataAddress + 0x800 + UInt64(position) * 0x40
      }
      // One pointer in some of the blocks leads to where accesses may fault, or be misaligned.
      let bad = generator.pointers[number % generator.pointers.count]
      let edge = is64Bit ? Self.edge : fixtures[0].memory.byteCount - 0x40
      if number % 3 != 0 { registers[bad] = edge + generator.next() % 0x40 }
      registers[4] = EngineFixture.stackTop - 0x400
      let flags = generator.next() & 0x8D5
      let memory = (0..<4096).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      var results: [Result] = []
      for fixture in fixtures {
        results.append(try run(fixture, block, registers, flags, memory, is64Bit: is64Bit))
      }
      if results[0].instructionPointer < EngineFixture.codeAddress || results[0].exit != "halt" {
        faultCount += 1
      }
      guard results[0] == results[1] else {
        let bytes = block.map { String($0, radix: 16) }.joined(separator: " ")
        Issue.record("block \(number): \(describe(results[0], results[1])); \(bytes)")
        return
      }
    }
    #expect(faultCount > count / 10 && faultCount < count * 9 / 10)
  }

  private func run(
    _ fixture: EngineFixture, _ block: [UInt8], _ registers: [UInt64], _ flags: UInt64,
    _ memory: [UInt8], is64Bit: Bool
  ) throws -> Result {
    try fixture.memory.write(memory, at: GuestPhysicalAddress(EngineFixture.dataAddress))
    try fixture.memory.write(memory, at: GuestPhysicalAddress(EngineFixture.stackTop - 4096))
    try fixture.memory.write(
      memory, at: GuestPhysicalAddress(ExceptionFixture.missing - 4096))
    let code = FlagBlockGenerator.warmUp + block + [0xF4]
    if is64Bit {
      try fixture.enter64BitMode(code, registers: registers)
      try ExceptionFixture.prepareMemory(fixture)
    } else {
      try fixture.enter32BitMode(code, registers: registers)
    }
    var state = try fixture.cpu.saveState()
    if is64Bit { ExceptionFixture.prepareState(&state) }
    state.flags = Flags(rawValue: flags | 2)
    try fixture.cpu.restoreState(state)
    let exit = try fixture.run()
    let end = try fixture.cpu.saveState()
    var stack = try fixture.memory.bytes(
      at: GuestPhysicalAddress(EngineFixture.stackTop - 4096), count: 4096)
    // AF in the frame's flags, whether there is an error code or not.
    let top = Int(end.generalRegisters[4] &- (EngineFixture.stackTop - 4096))
    if end.instructionPointer < EngineFixture.codeAddress, top >= 0, top < 4000 {
      stack[top + 16] &= 0xEF
      stack[top + 24] &= 0xEF
    }
    return Result(
      exit: "\(exit)", registers: end.generalRegisters,
      flags: end.flags.rawValue & Self.arithmeticFlags,
      instructionPointer: end.instructionPointer, faultAddress: end.cr2,
      retired: fixture.cpu.retiredInstructionCount,
      memory: try fixture.memory.bytes(
        at: GuestPhysicalAddress(EngineFixture.dataAddress), count: 4096)
        + fixture.memory.bytes(
          at: GuestPhysicalAddress(ExceptionFixture.missing - 4096), count: 4096),
      stack: stack)
  }

  private func describe(_ a: Result, _ b: Result) -> String {
    func hex(_ value: UInt64) -> String { String(value, radix: 16) }
    if a.exit != b.exit { return "\(a.exit) and \(b.exit)" }
    if a.instructionPointer != b.instructionPointer {
      return "RIP \(hex(a.instructionPointer)) and \(hex(b.instructionPointer))"
    }
    if a.flags != b.flags { return "flags \(hex(a.flags)) and \(hex(b.flags))" }
    for number in 0..<16 where a.registers[number] != b.registers[number] {
      return "r\(number) \(hex(a.registers[number])) and \(hex(b.registers[number]))"
    }
    if a.retired != b.retired { return "\(a.retired) and \(b.retired) retired" }
    if a.stack != b.stack { return "stack" }
    return a.memory != b.memory ? "memory" : "CR2"
  }
}

/// Makes the blocks.
struct FlagBlockGenerator {
  var numbers: Numbers
  let is64Bit: Bool
  /// Registers that hold addresses; RSP besides is left to PUSH and POP.
  let pointers: [Int]
  private var others: [UInt8]
  /// Touches the stack, so that the TLB knows it.
  static let warmUp: [UInt8] = [0x50, 0x58]

  init(numbers: Numbers, is64Bit: Bool) {
    self.numbers = numbers
    self.is64Bit = is64Bit
    pointers = is64Bit ? [5, 6, 7, 13, 14] : [5, 6, 7]
    others = is64Bit ? [0, 1, 2, 3, 8, 9, 10, 11, 12, 15] : [0, 1, 2, 3]
  }

  mutating func next() -> UInt64 { numbers.next() }

  /// A block that is executed a few times, with R15 or R9 to count the rounds.
  mutating func loop() -> [UInt8] {
    let all = others
    defer { others = all }
    let counter: UInt8 = (next() >> 8) % 2 == 0 ? 15 : 9
    others.removeAll { $0 == counter }
    let body = block()
    let rex: UInt8 = 0x49
    let low = counter & 7
    let step: [UInt8] =
      switch (next() >> 8) % 3 {
      case 0: [rex, 0xFF, 0xC8 | low]  // dec
      case 1: [rex, 0x83, 0xE8 | low, 1]  // sub
      default: [0x4D, 0x8D, 0x40 | low << 3 | low, 0xFF, rex, 0x83, 0xF8 | low, 0]  // lea, cmp
      }
    var round = body + step
    func word(_ value: Int) -> [UInt8] {
      (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    if (next() >> 8) % 2 == 0 {
      round += [0x0F, 0x85] + word(-(round.count + 6))  // jnz
    } else {
      round += [0x74, 0x05, 0xE9] + word(-(round.count + 7))  // jz, over jmp
    }
    // mov counter, 4
    return [rex, 0xC7, 0xC0 | low, 4, 0, 0, 0] + round
  }

  private mutating func pick<T>(_ values: [T]) -> T {
    values[Int((next() >> 8) % UInt64(values.count))]
  }

  mutating func block() -> [UInt8] {
    var bytes: [UInt8] = []
    var pushes = 0
    let length = 4 + Int((next() >> 8) % 24)
    for _ in 0..<length {
      switch (next() >> 8) % 16 {
      case 0...3: bytes += arithmetic()
      case 4: bytes += shift()
      case 5: bytes += single()
      case 6...8: bytes += access()
      case 9: bytes += move()
      case 10: bytes += reader()
      case 11:
        bytes += push()
        pushes += 1
      case 12 where pushes > 0:
        bytes += pop()
        pushes -= 1
      case 13:
        // A branch over an instruction.
        let skipped = (next() >> 8) % 2 == 0 ? arithmetic() : access()
        bytes += [0x70 | UInt8(truncatingIfNeeded: (next() >> 8) % 16), UInt8(skipped.count)]
        bytes += skipped
      case 14: bytes += vector()
      default: bytes += pointerStep()
      }
    }
    return bytes
  }

  private enum Target {
    case register(UInt8)
    case memory(base: UInt8, displacement: Int8)
  }

  private mutating func target() -> Target {
    if (next() >> 8) % 3 == 0 {
      let base = UInt8(pick(pointers))
      return .memory(base: base, displacement: Int8(truncatingIfNeeded: (next() >> 8) % 64))
    }
    return .register(pick(others))
  }

  /// An instruction with a ModRM byte on operands of a size.
  private func encode(
    _ opcode: [UInt8], _ size: Int, _ reg: UInt8, _ target: Target, wordPrefix: Bool = true
  ) -> [UInt8] {
    var rex: UInt8 = 0x40 | (size == 8 ? 8 : 0) | (reg >> 3) << 2
    var tail: [UInt8]
    switch target {
    case .register(let number):
      rex |= number >> 3
      tail = [0xC0 | (reg & 7) << 3 | number & 7]
    case .memory(let base, let displacement):
      rex |= base >> 3
      tail = [0x40 | (reg & 7) << 3 | base & 7, UInt8(bitPattern: displacement)]
    }
    return (size == 2 && wordPrefix ? [0x66] : []) + (is64Bit ? [rex] : []) + opcode + tail
  }

  private mutating func size() -> Int { pick(is64Bit ? [1, 2, 4, 4, 8, 8] : [1, 2, 4, 4]) }

  /// ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST: registers, memory, constants.
  private mutating func arithmetic() -> [UInt8] {
    let size = size()
    let operation = UInt8(truncatingIfNeeded: (next() >> 8) % 9)
    let register = pick(others)
    let low: UInt8 = size == 1 ? 0 : 1
    if operation == 8 { return encode([0x84 | low], size, register, target()) }
    switch (next() >> 8) % 3 {
    case 0: return encode([operation << 3 | low], size, register, target())
    case 1: return encode([operation << 3 | 2 | low], size, register, target())
    default:
      let value = UInt8(truncatingIfNeeded: next())
      return encode([size == 1 ? 0x80 : 0x83], size, operation, target()) + [value]
    }
  }

  /// By one or more, where OF is left as both engines leave it.
  private mutating func shift() -> [UInt8] {
    let size = size()
    let operation: UInt8 = pick([4, 5, 7])
    let low: UInt8 = size == 1 ? 0 : 1
    if (next() >> 8) % 2 == 0 { return encode([0xD0 | low], size, operation, target()) }
    return encode([0xC0 | low], size, operation, target()) + [pick([0, 1, 2, 3, 5, 7])]
  }

  /// INC, DEC, NOT, NEG.
  private mutating func single() -> [UInt8] {
    let size = size()
    let low: UInt8 = size == 1 ? 0 : 1
    if (next() >> 8) % 2 == 0 { return encode([0xFE | low], size, pick([0, 1]), target()) }
    return encode([0xF6 | low], size, pick([2, 3]), target())
  }

  private mutating func access() -> [UInt8] {
    let size = size()
    let base = UInt8(pick(pointers))
    let memory = Target.memory(base: base, displacement: Int8((next() >> 8) % 64))
    let low: UInt8 = size == 1 ? 0 : 1
    switch (next() >> 8) % 4 {
    case 0: return encode([0x88 | low], size, pick(others), memory)
    case 1: return encode([0x0F, 0xB6 | UInt8((next() >> 8) % 2)], 4, pick(others), memory)
    default: return encode([0x8A | low], size, pick(others), memory)
    }
  }

  private mutating func move() -> [UInt8] {
    if (next() >> 8) % 4 == 0 {
      // lea
      return encode(
        [0x8D], 8, pick(others),
        .memory(base: UInt8(pick(pointers)), displacement: Int8((next() >> 8) % 100)))
    }
    return encode([0x8B], pick([4, 8]), pick(others), .register(pick(others)))
  }

  /// SETcc and CMOVcc.
  private mutating func reader() -> [UInt8] {
    let condition = UInt8(truncatingIfNeeded: (next() >> 8) % 16)
    if (next() >> 8) % 2 == 0 { return encode([0x0F, 0x90 | condition], 1, 0, target()) }
    return encode([0x0F, 0x40 | condition], pick([4, 8]), pick(others), target())
  }

  private mutating func push() -> [UInt8] {
    let register = pick(others)
    return (is64Bit ? [0x40 | register >> 3] : []) + [0x50 | register & 7]
  }

  private mutating func pop() -> [UInt8] {
    let register = pick(others)
    return (is64Bit ? [0x40 | register >> 3] : []) + [0x58 | register & 7]
  }

  /// MOVUPS and MOVAPS, which faults where it is misaligned.
  private mutating func vector() -> [UInt8] {
    let base = UInt8(pick(pointers))
    let displacement = Int8((next() >> 8) % 4 * 16)
    return encode(
      [0x0F, pick([0x10, 0x11, 0x28, 0x29])], 4, UInt8((next() >> 8) % 8),
      .memory(base: base, displacement: displacement))
  }

  /// A constant added to a pointer.
  private mutating func pointerStep() -> [UInt8] {
    let pointer = UInt8(pick(pointers))
    let value = UInt8((next() >> 8) % 16)
    if (next() >> 8) % 3 == 0 {
      return encode([0x8D], 8, pointer, .memory(base: pointer, displacement: Int8(value)))
    }
    return encode([0x83], 8, pick([0, 5]), .register(pointer)) + [value]
  }
}
