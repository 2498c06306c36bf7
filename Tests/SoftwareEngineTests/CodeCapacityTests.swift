import EngineInterface
import MachineTypes
import Testing
import X86

@testable import SoftwareEngine

/// Code that is too much for what holds it: everything is thrown away, in the middle of a loop of calls.
struct CodeCapacityTests {
  /// RBP times: a loop of `hot` pieces, three times, and `tail` pieces more, once.
  ///
  /// A piece calls an empty function, does what `unit` says, and sets RBX to 3 × RBX and the piece's number's lowest bits.
  private static func code(hot: Int, tail: Int, unit: [UInt8]) -> [UInt8] {
    // jmp +1; the function: ret
    var code: [UInt8] = [0xEB, 0x01, 0xC3]
    func append(_ opcode: [UInt8], to target: Int) {
      code += opcode
      let distance = Int32(target - code.count - 4)
      code += withUnsafeBytes(of: distance.littleEndian) { Array($0) }
    }
    func appendPieces(_ count: Int) {
      for number in 0..<count {
        append([0xE8], to: 2)  // call
        code += unit
        code += [0x48, 0x8D, 0x5C, 0x5B, UInt8(number & 127)]  // lea rbx, [rbx + rbx * 2 + …]
      }
    }
    let outer = code.count
    code += [0xB9, 3, 0, 0, 0]  // mov ecx, 3
    let inner = code.count
    appendPieces(hot)
    append([0x48, 0xFF, 0xC9, 0x0F, 0x85], to: inner)  // dec rcx; jnz
    appendPieces(tail)
    append([0x48, 0xFF, 0xCD, 0x0F, 0x85], to: outer)  // dec rbp; jnz
    return code + [0xF4]  // hlt
  }

  private func run(_ code: [UInt8], _ tier: ExecutionTier) throws -> (
    registers: [UInt64], statistics: ExecutionStatistics
  ) {
    let fixture = try EngineFixture(cpuid: HostOracleDifferentialTests.table, execution: tier)
    var registers = [UInt64](repeating: 0, count: 16)
    registers[3] = 1
    registers[5] = 3
    registers[6] = EngineFixture.dataAddress
    try fixture.enter64BitMode(code, registers: registers)
    // What is executed wrongly may never end.
    try fixture.cpu.setInstructionBudget(5_000_000)
    #expect(try "\(fixture.run())" == "halt")
    let state = try fixture.cpu.saveState()
    return (
      state.generalRegisters + [fixture.cpu.retiredInstructionCount], fixture.cpu.statistics
    )
  }

  private func compare(_ code: [UInt8], _ tier: ExecutionTier) throws {
    #expect(EngineFixture.codeAddress + UInt64(code.count) < EngineFixture.dataAddress)
    let expected = try run(code, .interpreter).registers
    let (registers, statistics) = try run(code, tier)
    #expect(registers == expected)
    #expect(statistics.flushes >= 2)
  }

  @Test(arguments: [0, 2])
  func `a full code cache begins anew`(threshold: Int) throws {
    // xor rsi, 8; add rax, [rsi]
    let code = Self.code(
      hot: 1500, tail: 20_000, unit: [0x48, 0x83, 0xF6, 0x08, 0x48, 0x03, 0x06])
    try compare(code, ExecutionTier(translationThreshold: threshold, codeCapacity: 1 << 20))
  }

  /// Translated code begins anew, too, when there is no room for what the interpreter decodes.
  @Test(arguments: [0, 2])
  func `too many instructions of the interpreter's begin anew`(threshold: Int) throws {
    // rdtsc, twice
    let code = Self.code(hot: 15_000, tail: 40_000, unit: [0x0F, 0x31, 0x0F, 0x31])
    try compare(code, ExecutionTier(translationThreshold: threshold))
  }
}
