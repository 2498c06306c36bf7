import EngineInterface
import Foundation
import GuestMemory
import MachineTypes
import Synchronization
import Testing
import X86
import X86Decoder

/// The translator against the interpreter: random blocks of instructions on random registers and memory.
@Suite struct TranslatorTests {
  /// Whole blocks, blocks of one instruction, and of a few; with a TLB that holds nothing.
  @Test(
    arguments: [(64, 20_000, false), (1, 5_000, false), (3, 5_000, false), (64, 5_000, true)],
    [CodeMode.bits64, .bits32])
  func `translated blocks leave the state that interpreted ones leave`(
    size: (length: Int, count: Int, missesEveryAccess: Bool), mode: CodeMode
  ) throws {
    let (length, count, missesEveryAccess) = size
    let seed: UInt64 = 0x2545_F491_4F6C_DD1D &+ UInt64(length)
    let table = HostOracleDifferentialTests.table
    let interpreted = try EngineFixture(cpuid: table, execution: .interpreter)
    let translated = try EngineFixture(
      cpuid: table,
      execution: ExecutionTier(
        translationThreshold: 0, maximumBlockLength: length, missesEveryAccess: missesEveryAccess))
    var generator = BlockGenerator(numbers: Numbers(state: seed), mode: mode)
    for number in 0..<count {
      let block = generator.block()
      var registers = (0..<16).map { _ in generator.numbers.next() }
      generator.pointers.forEach {
        registers[Int($0)] = EngineFixture.dataAddress + 0x800 + UInt64($0) * 64
      }
      generator.indexes.forEach { registers[Int($0)] = UInt64($0) * 3 }
      // Every other stack is about to cross into the page below.
      registers[4] =
        EngineFixture.stackTop - (number & 1 == 0 ? 0x800 : 0x1000 - UInt64(number % 64))
      let flags = generator.numbers.next() & 0x8D5
      var image = VirtualCPUState.initialExtendedState
      for offset in 160..<416 {
        image[offset] = UInt8(truncatingIfNeeded: generator.numbers.next())
      }
      image[512] = 3
      let memory = (0..<4096).map { _ in UInt8(truncatingIfNeeded: generator.numbers.next()) }
      var results: [Result] = []
      for fixture in [interpreted, translated] {
        try fixture.memory.write(memory, at: GuestPhysicalAddress(EngineFixture.dataAddress))
        try fixture.memory.write(
          memory, at: GuestPhysicalAddress(EngineFixture.stackTop - 4096))
        let code = generator.warmUp + block.bytes + [0xF4]
        if mode == .bits64 {
          try fixture.enter64BitMode(code, registers: registers)
        } else {
          try fixture.enter32BitMode(code, registers: registers.map { $0 & 0xFFFF_FFFF })
        }
        var state = try fixture.cpu.saveState()
        state.flags = Flags(rawValue: flags | 2)
        if mode == .bits64 { state.segments[5].base = 0x48 }
        state.extendedState = image
        try fixture.cpu.restoreState(state)
        let exit = try fixture.run()
        let end = try fixture.cpu.saveState()
        results.append(
          Result(
            exit: "\(exit)", registers: end.generalRegisters, flags: end.flags.rawValue,
            instructionPointer: end.instructionPointer,
            vectors: Array(end.extendedState[24..<28] + end.extendedState[160..<416]),
            retired: fixture.cpu.retiredInstructionCount,
            memory: try fixture.memory.bytes(
              at: GuestPhysicalAddress(EngineFixture.dataAddress), count: 4096),
            stack: try fixture.memory.bytes(
              at: GuestPhysicalAddress(EngineFixture.stackTop - 8192), count: 8192)))
      }
      if let difference = results[0].difference(results[1]) {
        let bytes = block.bytes.map { String($0, radix: 16) }.joined(separator: " ")
        Issue.record("block \(number): \(difference); \(block.text); \(bytes)")
        return
      }
    }
  }

  /// Sums in a loop with a call, stack and memory accesses: 20,000 rounds.
  private static let loop: [UInt8] = [
    0xB9, 0x20, 0x4E, 0x00, 0x00,  // mov ecx, 20000
    0x48, 0x01, 0xC8,  // loop: add rax, rcx
    0x48, 0x31, 0xC2,  // xor rdx, rax
    0x50, 0x5B,  // push rax; pop rbx
    0x48, 0x89, 0x46, 0x08,  // mov [rsi + 8], rax
    0x4C, 0x03, 0x66, 0x08,  // add r12, [rsi + 8]
    0xE8, 0x05, 0x00, 0x00, 0x00,  // call function
    0xFF, 0xC9,  // dec ecx
    0x75, 0xE7,  // jnz loop
    0xF4,  // hlt
    0x49, 0x01, 0xD8,  // function: add r8, rbx
    0xF0, 0x48, 0xFF, 0x46, 0x10,  // lock inc qword [rsi + 16]
    0xC3,  // ret
  ]

  /// The registers and the count of instructions at the end of `code`, with kicks from another thread on the way.
  private func run(
    _ code: [UInt8], _ tier: ExecutionTier, kicksEvery interval: Duration? = nil
  ) throws -> [UInt64] {
    let fixture = try EngineFixture(
      cpuid: HostOracleDifferentialTests.table, execution: tier)
    try fixture.memory.write(
      [UInt8](repeating: 0, count: 64), at: GuestPhysicalAddress(EngineFixture.dataAddress))
    var registers = [UInt64](repeating: 0, count: 16)
    registers[6] = EngineFixture.dataAddress
    try fixture.enter64BitMode(code, registers: registers)
    let isOver = Mutex(false)
    let cpu = fixture.cpu
    let kicker = interval.map { interval in
      Thread {
        while !isOver.withLock({ $0 }) {
          cpu.kick()
          Thread.sleep(forTimeInterval: Double(interval.components.attoseconds) * 1e-18)
        }
      }
    }
    kicker?.start()
    defer { isOver.withLock { $0 = true } }
    var exit = try fixture.run()
    while case .interrupted = exit { exit = try fixture.run() }
    #expect("\(exit)" == "halt")
    let state = try cpu.saveState()
    let bytes = try fixture.memory.bytes(
      at: GuestPhysicalAddress(EngineFixture.dataAddress), count: 64)
    return state.generalRegisters + [state.flags.rawValue, cpu.retiredInstructionCount]
      + bytes.map { UInt64($0) }
  }

  /// Translated code leaves such a branch to the interpreter, in each turn of a loop.
  @Test func `a branch back that truncates EIP falls through`() throws {
    let fixture = try EngineFixture(
      cpuid: HostOracleDifferentialTests.table, execution: .translator)
    var registers = [UInt64](repeating: 0, count: 16)
    registers[1] = 1
    // loop: dec ecx; jnz loop, with 16 bits; hlt
    try fixture.enter32BitMode([0x49, 0x66, 0x75, 0xFC, 0xF4], registers: registers)
    try fixture.cpu.setInstructionBudget(1000)
    #expect(try "\(fixture.run())" == "halt")
    #expect(try fixture.cpu.saveState().generalRegisters[1] == 0)
    #expect(fixture.cpu.retiredInstructionCount == 3)
  }

  /// LEA from the end of an instruction, and ADD of a constant whose flags are had again behind a load: both take sums
  /// that a displacement does not hold.
  @Test(arguments: [ExecutionTier.interpreter, .translator])
  func `constants at the ends of their range are added`(tier: ExecutionTier) throws {
    let fixture = try EngineFixture(cpuid: HostOracleDifferentialTests.table, execution: tier)
    var registers = [UInt64](repeating: 0, count: 16)
    registers[0] = 0x8000_0000
    registers[6] = EngineFixture.dataAddress
    // lea rdi, [rip + 2^31 - 1]; add rax, -2^31; mov rbx, [rsi]; lahf; hlt
    let code: [UInt8] = [
      0x48, 0x8D, 0x3D, 0xFF, 0xFF, 0xFF, 0x7F, 0x48, 0x05, 0, 0, 0, 0x80, 0x48, 0x8B, 0x1E, 0x9F,
      0xF4,
    ]
    try fixture.enter64BitMode(code, registers: registers)
    #expect(try "\(fixture.run())" == "halt")
    let state = try fixture.cpu.saveState()
    let end = state.instructionPointer - UInt64(code.count) + 7
    #expect(state.generalRegisters[7] == end + 0x7FFF_FFFF)
    // ZF, PF and CF.
    #expect(state.generalRegisters[0] == 0x4700)
  }

  @Test func `kicks at any moment change nothing`() throws {
    let expected = try run(Self.loop, .interpreter)
    #expect(expected[12] != 0)
    for tier in [
      ExecutionTier.translator, .standard, .init(translationThreshold: 0, maximumBlockLength: 1),
    ] {
      #expect(try run(Self.loop, tier) == expected)
      for _ in 0..<10 {
        #expect(try run(Self.loop, tier, kicksEvery: .microseconds(20)) == expected)
      }
    }
  }

  @Test func `a budget ends at the same instruction as on the interpreter`() throws {
    let tiers: [ExecutionTier] = [
      .interpreter, .translator, .standard, .init(translationThreshold: 0, maximumBlockLength: 3),
    ]
    var expected: [[UInt64]] = []
    for tier in tiers {
      let fixture = try EngineFixture(cpuid: HostOracleDifferentialTests.table, execution: tier)
      try fixture.memory.write(
        [UInt8](repeating: 0, count: 64), at: GuestPhysicalAddress(EngineFixture.dataAddress))
      var registers = [UInt64](repeating: 0, count: 16)
      registers[6] = EngineFixture.dataAddress
      try fixture.enter64BitMode(Self.loop, registers: registers)
      var numbers = Numbers(state: 0x1357_9BDF_2468_ACE1)
      var states: [[UInt64]] = []
      var exit = VMExit.budgetExhausted
      while exit == .budgetExhausted {
        let before = fixture.cpu.retiredInstructionCount
        let budget = numbers.next() >> 8 % 3 == 0 ? numbers.next() % 70 : numbers.next() % 3000
        try fixture.cpu.setInstructionBudget(budget)
        exit = try fixture.run()
        let state = try fixture.cpu.saveState()
        if exit == .budgetExhausted {
          #expect(fixture.cpu.retiredInstructionCount == before + budget)
        }
        states.append(
          state.generalRegisters + [
            state.instructionPointer, state.flags.rawValue & 0x8D5,
            fixture.cpu.retiredInstructionCount,
          ])
      }
      #expect(exit == .halt)
      if tier != .interpreter, tier != .standard {
        #expect(fixture.cpu.statistics.translatedExecutions > 100_000)
      }
      if expected.isEmpty { expected = states }
      #expect(states.count > 100)
      #expect(states == expected)
    }
  }

  @Test(arguments: [UInt64.max, 0x8000_0000_0000_0000, 0x7FFF_FFFF_FFFF_FFFF] as [UInt64])
  func `a budget may be as large as it likes`(budget: UInt64) throws {
    let fixture = try EngineFixture(
      cpuid: HostOracleDifferentialTests.table, execution: .translator)
    // mov ecx, 1000; loop: add rax, rcx; dec ecx; jnz loop; hlt
    try fixture.enter64BitMode([
      0xB9, 0xE8, 0x03, 0x00, 0x00, 0x48, 0x01, 0xC8, 0xFF, 0xC9, 0x75, 0xF9, 0xF4,
    ])
    try fixture.cpu.setInstructionBudget(budget)
    #expect(try fixture.run() == .halt)
    #expect(try fixture.cpu.saveState().generalRegisters[0] == 500_500)
    #expect(fixture.cpu.retiredInstructionCount == 3002)
  }

  @Test func `a loop that rewrites its own next instruction executes what it wrote`() throws {
    // mov ecx, 500; loop: mov [rip + 1], cl; add eax, imm32; dec ecx; jnz loop; hlt
    let code: [UInt8] = [
      0xB9, 0xF4, 0x01, 0x00, 0x00, 0x88, 0x0D, 0x01, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00,
      0x00, 0xFF, 0xC9, 0x75, 0xF1, 0xF4,
    ]
    let sum = (1...500).reduce(0 as UInt64) { $0 + UInt64($1 & 0xFF) }
    for tier in [ExecutionTier.interpreter, .translator, .standard] {
      #expect(try run(code, tier)[0] == sum)
    }
  }

  private struct Result {
    var exit: String
    var registers: [UInt64]
    var flags: UInt64
    var instructionPointer: UInt64
    var vectors: [UInt8]
    var retired: UInt64
    var memory: [UInt8]
    var stack: [UInt8]

    func difference(_ other: Result) -> String? {
      func hex(_ value: UInt64) -> String { String(value, radix: 16) }
      if exit != other.exit { return "\(exit) and \(other.exit)" }
      for number in 0..<16 where registers[number] != other.registers[number] {
        return "r\(number) \(hex(registers[number])) and \(hex(other.registers[number]))"
      }
      if (flags ^ other.flags) & 0x8D5 != 0 { return "flags \(hex(flags)) and \(hex(other.flags))" }
      if instructionPointer != other.instructionPointer { return "RIP" }
      for index in 0..<4096 where memory[index] != other.memory[index] { return "memory \(index)" }
      for index in 0..<8192 where stack[index] != other.stack[index] { return "stack \(index)" }
      for index in 0..<vectors.count where vectors[index] != other.vectors[index] {
        return "vectors \(index)"
      }
      if retired != other.retired { return "\(retired) and \(other.retired) retired" }
      return nil
    }
  }
}

/// Makes random blocks that mostly do not fault.
struct BlockGenerator {
  var numbers: Numbers
  var mode = CodeMode.bits64
  /// Registers that hold addresses, and that instructions should leave alone.
  var pointers: [UInt8] { mode == .bits64 ? [5, 6, 7, 13, 14] : [5, 6, 7] }
  /// Registers that hold small numbers.
  var indexes: [UInt8] { mode == .bits64 ? [10, 15] : [3] }

  /// Touches data and stack for reads and writes, so that the TLB knows them.
  var warmUp: [UInt8] {
    // xchg [rsi], rax, twice; push rax; pop rax
    let wide: [UInt8] = mode == .bits64 ? [0x48] : []
    return wide + [0x87, 0x06] + wide + [0x87, 0x06, 0x50, 0x58]
  }

  struct Block {
    var bytes: [UInt8] = []
    var text = ""
  }

  mutating func block() -> Block {
    var block = Block()
    let length = 1 + Int(numbers.next() % 14)
    while block.text.utf8.count < 4096, block.bytes.count < length * 6 {
      if random(8) == 0 { appendStackRun(&block) }
      if mode == .bits64, random(16) == 0 { appendFlush(&block) }
      guard let (bytes, text) = instruction() else { continue }
      block.bytes += bytes
      block.text += text + "; "
    }
    return block
  }

  /// PUSHes in a row, and as many POPs, with something in between.
  private mutating func appendStackRun(_ block: inout Block) {
    let count = 2 + Int(random(6))
    let is64Bit = mode == .bits64
    for _ in 0..<count {
      if is64Bit { block.bytes.append(0x40 | random(2)) }
      block.bytes.append(0x50 | random(8))
    }
    block.bytes += is64Bit ? [0x48, 0xFF, 0xC0] : [0xFF, 0xC0]  // inc rax
    for _ in 0..<count {
      let register =
        (is64Bit ? [0, 1, 2, 3, 8, 9, 11, 12] : [0, 1, 2, 0, 1, 2, 0, 1])[
          Int(random(8))] as UInt8
      if is64Bit { block.bytes.append(0x40 | register >> 3) }
      block.bytes.append(0x58 | register & 7)
    }
    block.text += "\(count) pushes and pops; "
  }

  /// What empties the TLB: of a page, or of all.
  private mutating func appendFlush(_ block: inout Block) {
    if random(2) == 0 {
      block.bytes += [0x0F, 0x01, 0x3E]
      block.text += "invlpg [rsi]; "
    } else {
      // push rax; mov rax, cr3; mov cr3, rax; pop rax
      block.bytes += [0x50, 0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8, 0x58]
      block.text += "cr3; "
    }
  }

  private mutating func random(_ count: UInt64) -> UInt8 {
    numbers.state ^= numbers.state << 13
    numbers.state ^= numbers.state >> 7
    numbers.state ^= numbers.state << 17
    return UInt8(truncatingIfNeeded: (numbers.state >> 20) % count)
  }

  /// One instruction, with what makes its flags defined.
  private mutating func instruction() -> ([UInt8], String)? {
    var bytes: [UInt8] = []
    if random(8) == 0 { bytes.append(mode == .bits64 ? 0x65 : 0x64) }
    if random(4) == 0 { bytes.append(0x66) }
    let kind = random(12)
    if kind == 0 { bytes.append(random(2) == 0 ? 0xF3 : 0xF2) }
    if mode == .bits64, random(3) != 0 { bytes.append(0x40 | random(16)) }
    if kind < 6 {
      bytes.append(0x0F)
      if kind == 5 { bytes.append(random(2) == 0 ? 0x38 : 0x3A) }
    }
    bytes.append(random(256))
    // Memory operands go through the pointers, with a small displacement.
    let usesMemory = random(2) == 0
    if usesMemory {
      bytes.append((random(2) == 0 ? 0x40 : 0x80) | random(64))
      if bytes.last! & 7 == 4 { bytes.append(random(256)) }
      bytes.append(random(128))
      bytes += [0, 0, 0]
    } else {
      bytes.append(0xC0 | random(64))
    }
    bytes += (0..<8).map { _ in random(256) }
    var instruction = Instruction.empty
    guard case .decoded = Decoder(mode: mode).decode(bytes.span, into: &instruction),
      isWanted(instruction)
    else { return nil }
    bytes = Array(bytes[0..<Int(instruction.length)])
    if leavesFlagsUndefined(instruction) {
      bytes += mode == .bits64 ? [0x48, 0x39, 0xD0] : [0x39, 0xD0]
    }  // cmp rax, rdx
    return (bytes, "\(instruction.operation)")
  }

  private func isWanted(_ i: Instruction) -> Bool {
    if i.hasMemoryOperand {
      guard pointers.contains(i.base), i.index >= 16 || indexes.contains(i.index),
        i.addressSize == mode.rawValue, i.displacement >= -128, i.displacement < 128
      else { return false }
    }
    for position in 0..<4 {
      let operand = i.operands[position]
      if operand.kind == .general, operand.access.writes,
        pointers.contains(operand.number) || indexes.contains(operand.number)
          || operand.number == 4
      {
        return false
      }
    }
    if !i.traits.isDisjoint(with: [.x87, .mmx, .changesControlFlow, .repeatable, .privileged]) {
      return false
    }
    switch i.operation {
    case .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .mov, .movzx, .movsx, .movsxd, .inc,
      .dec, .neg, .not, .mul, .imul, .div, .idiv, .setcc, .cmovcc, .xadd, .xchg, .cmpxchg, .bsf,
      .bsr, .tzcnt, .lzcnt, .popcnt, .bt, .bts, .btr, .btc, .rol, .ror, .rcl, .rcr, .shl, .shr,
      .sar, .shld, .shrd, .adcx, .adox, .movbe, .crc32, .bswap, .lea, .cbw, .cwd, .sahf, .clc,
      .stc, .cmc, .nop, .push, .cmpxchg8b, .cmpxchg16b:
      // What 16 bits of these hold is undefined.
      let isWord = i.prefixes.contains(.operandSize) && !i.prefixes.contains(.rexW)
      return !(isWord && (i.operation == .bswap || i.operation == .shld || i.operation == .shrd))
    case .pop: return i.operands[0].kind == .general
    default:
      return i.traits.contains(.sse) && HostOracleForms.isPlain(i)
    }
  }

  private func leavesFlagsUndefined(_ i: Instruction) -> Bool {
    switch i.operation {
    case .mul, .imul, .div, .idiv, .bsf, .bsr, .bt, .bts, .btr, .btc, .rol, .ror, .rcl, .rcr, .shl,
      .shr, .sar, .shld, .shrd, .and, .or, .xor, .test, .tzcnt, .lzcnt, .popcnt:
      true
    default: false
    }
  }
}

enum HostOracleForms {
  /// SSE instructions that need nothing but registers and memory.
  static func isPlain(_ i: Instruction) -> Bool {
    switch i.operation {
    case .fxsave, .fxrstor, .xsave, .xsaveopt, .xsavec, .xsaves, .xrstor, .xrstors, .ldmxcsr,
      .stmxcsr, .maskmovdqu, .maskmovq, .clflush, .clflushopt, .clwb, .rcpps, .rcpss, .rsqrtps,
      .rsqrtss:
      false
    default: true
    }
  }
}
