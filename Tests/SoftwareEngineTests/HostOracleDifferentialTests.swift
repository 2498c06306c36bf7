import CHost
import EngineInterface
import Foundation
import GuestMemory
import HostSystem
import MachineTypes
import Testing
import X86

/// An instruction, and which of its arithmetic flags are defined.
struct OracleForm {
  var name: String
  var bytes: [UInt8]
  var definedFlags: UInt64 = 0x8D5
  /// DF: string instructions go down.
  var isDown = false
  var prepare: OraclePreparation?
}

/// The engine against the processor that runs the tests.
@Suite(.serialized) struct HostOracleDifferentialTests {
  static let table = CPUIDTable(entries: [
    CPUIDEntry(leaf: 1, ecx: 0x00F8_2203, edx: 0x078B_FBFF), CPUIDEntry(leaf: 7, ebx: 0x0008_0108),
    CPUIDEntry(leaf: 0x8000_0001, ecx: 0x21, edx: 0x2C10_0800),
  ])

  /// The same with what builds upon AVX, as far as the host has it.
  static let wideTable: CPUIDTable = {
    var table = Self.table
    let one = chost_cpuid(1, 0)
    let seven = chost_cpuid(7, 0)
    guard HostCPU.hasAVX else { return table }
    // XSAVE, FMA, AVX, F16C, AES, PCLMULQDQ; AVX2; GFNI, VAES, VPCLMULQDQ.
    table.set(
      CPUIDEntry(leaf: 1, ecx: 0x00F8_2203 | one.ecx & 0x3600_1002, edx: 0x078B_FBFF))
    table.set(CPUIDEntry(leaf: 7, ebx: 0x0008_0108 | seven.ebx & 1 << 5, ecx: seven.ecx & 0x700))
    table.set(CPUIDEntry(leaf: 0xD, isIndexed: true, eax: 7, ebx: 832, ecx: 832))
    // XSAVEOPT, XSAVEC.
    table.set(CPUIDEntry(leaf: 0xD, subleaf: 1, isIndexed: true, eax: 3, ebx: 832))
    return table
  }()

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"))
  func `AVX, AVX2, FMA and F16C do what the processor does`() throws {
    let forms = Self.wideForms
    #expect(forms.count > 1000)
    try compare(forms, perForm: 6, table: Self.wideTable, isMeantToComplete: false)
  }

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"))
  func `gathers do what the processor does`() throws {
    try compare(Self.gatherForms, perForm: 100, table: Self.wideTable)
  }

  @Test func `every legacy vector opcode does what the processor does`() throws {
    let forms = Self.legacyForms
    #expect(forms.count > 500)
    try compare(forms, perForm: 6, table: Self.wideTable, isMeantToComplete: false)
  }

  @Test func `integer instructions do what the processor does`() throws {
    try compare(Self.integerForms, perForm: 6)
  }

  @Test func `bit manipulation, exchanges, high bytes, flags and branches do what it does`() throws
  {
    try compare(Self.furtherIntegerForms, perForm: 20)
  }

  @Test func `string instructions do what the processor does`() throws {
    try compare(Self.stringForms, perForm: 20)
  }

  @Test func `bit strings in memory do what the processor does`() throws {
    try compare(Self.bitStringForms, perForm: 20)
  }

  @Test func `vector instructions do what the processor does`() throws {
    try compare(Self.vectorForms, perForm: 6)
  }

  @Test func `x87 instructions do what the processor does`() throws {
    try compare(Self.x87Forms, perForm: 6)
  }

  /// mov r9b, [rsi]; mov [rsi], r9b; mov r9b, [rdi]; mov [rdi], r9b; mov r9d, 0
  private static let warmUp: [UInt8] = [
    0x44, 0x8A, 0x0E, 0x44, 0x88, 0x0E, 0x44, 0x8A, 0x0F, 0x44, 0x88, 0x0F, 0x41, 0xB9, 0, 0, 0, 0,
  ]

  private func compare(
    _ forms: [OracleForm], perForm: Int, table: CPUIDTable = table,
    isMeantToComplete: Bool = true
  ) throws {
    let wanted = ProcessInfo.processInfo.environment["MARTLET_ORACLE_CASES"].flatMap { Int($0) }
    let rounds = wanted.map { max(1, $0 / forms.count) } ?? perForm
    let oracle = try HostOracle()
    let fixture = try EngineFixture(cpuid: table)
    var generator = Numbers(state: 0x1234_5678_9ABC_DEF1)
    var count = 0
    var completed = 0
    var total = 0
    var failures: [String: String] = [:]
    for form in forms {
      // The accesses before the instruction put its pages into the TLB.
      try fixture.enter64BitMode(Self.warmUp + form.bytes + [0xF4])
      let initial = try fixture.cpu.saveState()
      completed = 0
      for _ in 0..<rounds where failures[form.name] == nil {
        count += 1
        failures[form.name] = try difference(form, oracle, fixture, initial, &generator, &completed)
      }
      total += completed
      // AX divided by AH hardly ever fits.
      if isMeantToComplete, rounds > 5, completed == 0, failures[form.name] == nil,
        !form.name.hasPrefix("high.idiv")
      {
        failures[form.name] = "faulted in every case"
      }
    }
    // Else two faults would be compared with each other.
    #expect(total * 2 > count, "\(total) of \(count) ran to their end")
    print(
      "oracle: \(count) cases (\(total) without a fault) of \(forms.count) forms, \(failures.count) forms differ"
    )
    for (name, text) in failures.sorted(by: { $0.key < $1.key }) { print("  \(name): \(text)") }
    #expect(failures.isEmpty)
  }

  private func difference(
    _ form: OracleForm, _ oracle: HostOracle, _ fixture: EngineFixture,
    _ initial: VirtualCPUState, _ generator: inout Numbers, _ completed: inout Int
  ) throws -> String? {
    let window = UnsafeMutableRawPointer(bitPattern: HostOracle.window)!
    var registers = (0..<16).map { _ in generator.next() }
    registers[4] = EngineFixture.stackTop
    registers[6] = UInt64(HostOracle.window) + 0x100
    registers[7] = UInt64(HostOracle.window) + 0x200
    registers[9] = 0
    var flags = generator.next() & 0x8D5
    var image = VirtualCPUState.initialExtendedState
    image += [UInt8](repeating: 0, count: max(0, HostOracle.imageByteCount - image.count))
    for offset in stride(from: 576, to: 832, by: 4) where HostCPU.hasAVX {
      let value = generator.nextFloat()
      withUnsafeBytes(of: value) { for index in 0..<4 { image[offset + index] = $0[index] } }
    }
    for offset in stride(from: 160, to: 416, by: 4) {
      let value = generator.nextFloat()
      withUnsafeBytes(of: value) { for index in 0..<4 { image[offset + index] = $0[index] } }
    }
    for register in 0..<8 {
      // Finite 80-bit numbers, and the tags to match.
      let significand = generator.next() | 1 << 63
      let sign = UInt16(truncatingIfNeeded: generator.next()) & 0x8000
      let exponent = 0x3FFF + UInt16(generator.next() & 63)
      withUnsafeBytes(of: significand) { for k in 0..<8 { image[32 + register * 16 + k] = $0[k] } }
      withUnsafeBytes(of: exponent | sign) {
        for k in 0..<2 { image[40 + register * 16 + k] = $0[k] }
      }
    }
    image[4] = 0xFF
    image[24] = UInt8(truncatingIfNeeded: generator.next()) & 0x40 | 0x80
    image[25] = generator.next() & 3 == 0 ? UInt8(truncatingIfNeeded: generator.next()) : 0x1F
    if generator.next() & 3 == 0 { image[25] = 0x1F | UInt8(generator.next() & 3) << 5 }
    var memory = (0..<1024).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    form.prepare?(&registers, &memory, &generator)
    if form.isDown { flags |= 0x400 }
    memory.withUnsafeBytes { window.copyMemory(from: $0.baseAddress!, byteCount: 1024) }
    try fixture.memory.write(memory, at: GuestPhysicalAddress(EngineFixture.dataAddress))
    var state = initial
    state.generalRegisters = registers
    state.flags = Flags(rawValue: flags | 2)
    image[512] = HostCPU.hasAVX ? 7 : 3
    state.extendedState = image
    try fixture.cpu.restoreState(state)
    let before = registers
    let exit = try fixture.cpu.run(.resume)
    let result = try fixture.cpu.saveState()
    let outcome = oracle.run(form.bytes, registers: &registers, flags: &flags, image: &image)
    guard outcome == .completed else {
      guard exit == .shutdown else { return "\(outcome), but the engine \(exit)" }
      let mxcsr = Array(image[24..<28])
      let ours = Array(result.extendedState[24..<28])
      return outcome == .otherFault || mxcsr == ours ? nil : "MXCSR \(ours) and not \(mxcsr)"
    }
    completed += 1
    guard exit == .halt else { return "the engine: \(exit), \(form.bytes)" }
    for number in 0..<16 where result.generalRegisters[number] != registers[number] {
      return "r\(number) \(hex(before[number])) → \(hex(result.generalRegisters[number])) "
        + "and not \(hex(registers[number])); rax \(hex(before[0])) rcx \(hex(before[1])) rdx \(hex(before[2]))"
    }
    let wrong = (result.flags.rawValue ^ flags) & form.definedFlags
    if wrong != 0 {
      return
        "flags \(hex(wrong)) differ; rax \(hex(before[0])) rcx \(hex(before[1])) rdx \(hex(before[2]))"
    }
    for offset in [0..<5, 24..<28, 32..<416, 576..<832].joined()
    where image[offset] != result.extendedState[offset] {
      return "XSAVE image at \(offset): \(result.extendedState[offset]) and not \(image[offset])"
    }
    let ours = try fixture.memory.bytes(
      at: GuestPhysicalAddress(EngineFixture.dataAddress), count: 1024)
    for offset in 0..<1024 where ours[offset] != window.load(fromByteOffset: offset, as: UInt8.self)
    {
      return "memory at \(offset)"
    }
    return nil
  }

  private func hex(_ value: UInt64) -> String { String(value, radix: 16) }
}

/// Random numbers, with a liking for extremes.
struct Numbers {
  var state: UInt64
  private static let extremes: [UInt64] = [
    0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, ~0, 31, 32, 63, 64,
  ]
  private static let floats: [UInt32] = [
    0, 0x8000_0000, 0x3F80_0000, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0x7FA0_0000, 1,
    0x007F_FFFF, 0x0080_0000, 0x7F7F_FFFF, 0x4F00_0000, 0xBF80_0000,
  ]
  private mutating func random() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
  mutating func next() -> UInt64 {
    let value = random()
    guard value >> 60 < 5 else { return random() }
    return Self.extremes[Int(random() % UInt64(Self.extremes.count))]
  }
  mutating func nextFloat() -> UInt32 {
    guard random() & 1 == 0 else { return UInt32(truncatingIfNeeded: random()) }
    return Self.floats[Int(random() % UInt64(Self.floats.count))]
  }
}
