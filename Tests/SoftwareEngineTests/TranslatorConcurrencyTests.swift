import EngineInterface
import Foundation
import GuestMemory
import MachineTypes
import SoftwareEngine
import Synchronization
import Testing
import X86

/// Two virtual CPUs at once on translated code.
@Suite struct TranslatorConcurrencyTests {
  private static let first = EngineFixture.codeAddress
  private static let second: UInt64 = 0x11_0000
  /// A function that is written over, in a page of its own.
  private static let function: UInt64 = 0x12_0000

  /// Runs both CPUs until each halts; returns their general registers.
  private func run(
    _ codes: [[UInt8]], _ tier: ExecutionTier, registers: [UInt64],
    prepare: (EngineFixture) throws -> Void = { _ in }
  ) throws -> [[UInt64]] {
    let fixture = try EngineFixture(
      cpuid: HostOracleDifferentialTests.table, cpuCount: 2, execution: tier)
    try fixture.memory.write(
      [UInt8](repeating: 0, count: 4096), at: GuestPhysicalAddress(EngineFixture.dataAddress))
    try fixture.enter64BitMode(codes[0], registers: registers)
    try prepare(fixture)
    try fixture.memory.write(codes[1], at: GuestPhysicalAddress(Self.second))
    var state = try fixture.cpu.saveState()
    state.instructionPointer = Self.second
    state.generalRegisters[4] = EngineFixture.stackTop - 0x1_0000
    try fixture.engine.virtualCPUs[1].restoreState(state)
    let cpus = [fixture.engine.virtualCPUs[0], fixture.engine.virtualCPUs[1]]
    let failures = Mutex<[String]>([])
    let finished = DispatchSemaphore(value: 0)
    for cpu in cpus {
      Thread.detachNewThread {
        do {
          var exit = try cpu.run(.resume)
          while case .interrupted = exit { exit = try cpu.run(.resume) }
          if exit != .halt { failures.withLock { $0.append("\(exit)") } }
        } catch {
          failures.withLock { $0.append("\(error)") }
        }
        finished.signal()
      }
    }
    for _ in cpus { finished.wait() }
    #expect(failures.withLock { $0 } == [])
    return try cpus.map { try $0.saveState().generalRegisters }
  }

  private static let tiers = [
    ExecutionTier.interpreter, .translator, .standard,
    .init(translationThreshold: 0, maximumBlockLength: 1),
  ]

  @Test(arguments: tiers) func `atomic instructions of two CPUs lose nothing`(
    tier: ExecutionTier
  ) throws {
    // loop: lock inc qword [rsi]; mov eax, 3; lock xadd [rsi + 8], rax; lock bts [rsi + 16], rdi;
    // retry: mov rax, [rsi + 24]; lea rdx, [rax + 5]; lock cmpxchg [rsi + 24], rdx; jne retry; dec ecx; jne loop; hlt
    let code: [UInt8] = [
      0xF0, 0x48, 0xFF, 0x06, 0xB8, 0x03, 0x00, 0x00, 0x00, 0xF0, 0x48, 0x0F, 0xC1, 0x46, 0x08,
      0xF0, 0x48, 0x0F, 0xAB, 0x7E, 0x10, 0x48, 0x8B, 0x46, 0x18, 0x48, 0x8D, 0x50, 0x05, 0xF0,
      0x48, 0x0F, 0xB1, 0x56, 0x18, 0x75, 0xF0, 0xFF, 0xC9, 0x75, 0xD7, 0xF4,
    ]
    var registers = [UInt64](repeating: 0, count: 16)
    registers[1] = 30_000
    registers[6] = EngineFixture.dataAddress
    registers[7] = 5
    // wait: cmp qword [rsi + 24], 300000; jne wait; mov rbx, [rsi]; mov r8, [rsi + 8]; mov r9, [rsi + 16]; hlt
    let end: [UInt8] = [
      0x48, 0x81, 0x7E, 0x18, 0xE0, 0x93, 0x04, 0x00, 0x75, 0xF6, 0x48, 0x8B, 0x1E, 0x4C, 0x8B,
      0x46, 0x08, 0x4C, 0x8B, 0x4E, 0x10, 0xF4,
    ]
    let whole = code.dropLast() + end
    for result in try run([whole, whole], tier, registers: registers) {
      #expect(result[3] == 60_000)
      #expect(result[8] == 180_000)
      #expect(result[9] == 1 << 5)
    }
  }

  @Test(arguments: tiers) func `code that another CPU rewrites is executed as written`(
    tier: ExecutionTier
  ) throws {
    let rounds: UInt64 = 300
    // rsi: data; rdi: function; ebp: rounds. Writer: ebx = 0;
    // next: inc ebx; imul eax, ebx, 7; mov [rdi + 4], eax; mov [rsi], ebx; wait: pause; cmp [rsi + 64], ebx; jne wait;
    // cmp [rsi + 128], eax; jne bad; cmp ebx, ebp; jne next; hlt; bad: mov r15d, 1; hlt
    let writer: [UInt8] = [
      0x31, 0xDB, 0xFF, 0xC3, 0x6B, 0xC3, 0x07, 0x89, 0x47, 0x04, 0x89, 0x1E, 0xF3, 0x90, 0x39,
      0x5E, 0x40, 0x75, 0xF9, 0x39, 0x86, 0x80, 0x00, 0x00, 0x00, 0x75, 0x05, 0x39, 0xEB, 0x75,
      0xE3, 0xF4, 0x41, 0xBF, 0x01, 0x00, 0x00, 0x00, 0xF4,
    ]
    // Executor: r12d = 0; next: inc r12d; wait: cmp [rsi], r12d; jne wait; xor eax, eax; cpuid; call rdi;
    // mov [rsi + 128], eax; mov [rsi + 64], r12d; cmp r12d, ebp; jne next; hlt
    let executor: [UInt8] = [
      0x45, 0x31, 0xE4, 0x41, 0xFF, 0xC4, 0x44, 0x39, 0x26, 0x75, 0xFB, 0x31, 0xC0, 0x0F, 0xA2,
      0xFF, 0xD7, 0x89, 0x86, 0x80, 0x00, 0x00, 0x00, 0x44, 0x89, 0x66, 0x40, 0x41, 0x39, 0xEC,
      0x75, 0xE3, 0xF4,
    ]
    var registers = [UInt64](repeating: 0, count: 16)
    registers[5] = rounds
    registers[6] = EngineFixture.dataAddress
    registers[7] = Self.function
    let results = try run([executor, writer], tier, registers: registers) { fixture in
      // nop × 3; mov eax, …; ret: the constant is aligned.
      try fixture.memory.write(
        [0x90, 0x90, 0x90, 0xB8, 0, 0, 0, 0, 0xC3], at: GuestPhysicalAddress(Self.function))
    }
    #expect(results[0][12] == rounds)
    #expect(results[1][3] == rounds)
    #expect(results[1][15] == 0)
  }

  @Test(arguments: tiers) func `two CPUs that translate and write each other's pages stay apart`(
    tier: ExecutionTier
  ) throws {
    // Each CPU copies a function to a fresh place, 64 bytes further every time, and calls it; both use the same pages, in
    // turns of 64 bytes. rdi: place; ebp: rounds.
    // next: inc ebx; mov byte [rdi], B8; mov [rdi + 1], ebx; mov byte [rdi + 5], C3; call rdi; cmp eax, ebx; jne bad;
    // sub rdi, -128; cmp ebx, ebp; jne next; hlt; bad: mov r15d, 1; hlt
    let code: [UInt8] = [
      0xFF, 0xC3, 0xC6, 0x07, 0xB8, 0x89, 0x5F, 0x01, 0xC6, 0x47, 0x05, 0xC3, 0xFF, 0xD7, 0x39,
      0xD8, 0x75, 0x0A, 0x48, 0x83, 0xEF, 0x80, 0x39, 0xEB, 0x75, 0xE6, 0xF4, 0x90, 0x41, 0xBF,
      0x01, 0x00, 0x00, 0x00, 0xF4,
    ]
    var registers = [UInt64](repeating: 0, count: 16)
    registers[5] = 1000
    registers[7] = Self.function
    // The second CPU begins 64 bytes further.
    let other: [UInt8] = [0x48, 0x83, 0xC7, 0x40] + code
    let results = try run([code, other], tier, registers: registers)
    for result in results {
      #expect(result[3] == 1000)
      #expect(result[15] == 0)
    }
  }
}
