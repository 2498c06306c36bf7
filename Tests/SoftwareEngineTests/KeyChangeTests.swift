import EngineInterface
import GuestMemory
import MachineTypes
import Testing
import X86

/// Instructions that lead from one key's translated code to another's: SYSCALL and SYSRET with flags that change, whatever the
/// masks, STAC and CLAC.
@Suite struct KeyChangeTests {
  private static let user = EngineFixture.codeAddress + 0x1000
  private static let handler = EngineFixture.codeAddress + 0x2000

  /// Linux's mask, one that leaves flags set, one that leaves TF and AC.
  @Test(arguments: [UInt32(0x25_7FD5), 0x4_0700, 0x200], [64, 3, 1])
  func `both rings see the same flags and registers as on the interpreter`(
    mask: UInt32, length: Int
  ) throws {
    let results = try [
      ExecutionTier.interpreter,
      ExecutionTier(translationThreshold: 0, maximumBlockLength: length),
    ].map { try run($0, mask: mask) }
    #expect(results[0].exit == .halt)
    // The handler halts at CPL 0, after all rounds.
    #expect(results[0].state.generalRegisters[3] == 0)
    #expect(results[0].exit == results[1].exit)
    #expect(results[0].retired == results[1].retired)
    #expect(results[0].state == results[1].state)
  }

  private func run(
    _ tier: ExecutionTier, mask: UInt32
  ) throws -> (exit: VMExit, state: VirtualCPUState, retired: UInt64) {
    let fixture = try EngineFixture(
      cpuid: HostOracleDifferentialTests.table, execution: tier)
    try fixture.enter64BitMode(kernel(mask: mask), registers: [0, 0, 0, 2_000])
    // All pages are the user's, too.
    try fixture.memory.store(UInt64(0x2007), at: GuestPhysicalAddress(0x1000))
    try fixture.memory.store(UInt64(0x3007), at: GuestPhysicalAddress(0x2000))
    for index in UInt64(0)..<512 {
      try fixture.memory.store(index << 21 | 0x87, at: GuestPhysicalAddress(0x3000 + index * 8))
    }
    try fixture.memory.write(userCode, at: GuestPhysicalAddress(Self.user))
    try fixture.memory.write(handlerCode, at: GuestPhysicalAddress(Self.handler))
    return (
      try fixture.run(), try fixture.cpu.saveState(), fixture.cpu.retiredInstructionCount
    )
  }

  /// Supervisor code that opens and closes its way to a user's page, and at last goes there with it closed.
  @Test(arguments: [64, 3, 1])
  func `STAC and CLAC lift SMAP as on the interpreter`(length: Int) throws {
    let page = EngineFixture.dataAddress
    let body: [UInt8] = [
      0x0F, 0x01, 0xCB,  // stac
      0x48, 0x8B, 0x06, 0x48, 0x01, 0xD8,  // mov rax, [rsi]; add rax, rbx
      0x9C, 0x5A, 0x49, 0x31, 0xD0,  // pushfq; pop rdx; xor r8, rdx
      0x48, 0x89, 0x06,  // mov [rsi], rax
      0xFD,  // std
      0x0F, 0x01, 0xCA,  // clac
      0x9C, 0x5A, 0x49, 0x01, 0xD0,  // pushfq; pop rdx; add r8, rdx
      0xFC,  // cld
      0x0F, 0x01, 0xCA,  // clac
      0xFF, 0xCB,  // dec ebx
    ]
    let code = body + [0x75, UInt8(bitPattern: Int8(-body.count - 2)), 0x48, 0x8B, 0x3E]
    var table = HostOracleDifferentialTests.table
    table.set(CPUIDEntry(leaf: 7, ebx: 0x0018_0108))  // with SMAP
    let results = try [
      ExecutionTier.interpreter,
      ExecutionTier(translationThreshold: 0, maximumBlockLength: length),
    ].map { tier in
      let fixture = try EngineFixture(cpuid: table, execution: tier)
      try fixture.enter64BitMode(code + [0xF4], registers: [0, 0, 0, 500])
      try ExceptionFixture.prepareMemory(fixture)
      try fixture.memory.store(UInt64(0x2007), at: GuestPhysicalAddress(0x1000))
      try fixture.memory.store(UInt64(0x3007), at: GuestPhysicalAddress(0x2000))
      try fixture.memory.store(page | 0x87, at: GuestPhysicalAddress(0x3008))
      var state = try fixture.cpu.saveState()
      ExceptionFixture.prepareState(&state)
      state.cr4.insert(.supervisorAccessPrevention)
      state.generalRegisters[6] = page
      state.generalRegisters[4] = EngineFixture.codeAddress + 0x8000
      try fixture.cpu.restoreState(state)
      let exit = try fixture.run()
      return (
        exit: exit, state: try fixture.cpu.saveState(),
        retired: fixture.cpu.retiredInstructionCount,
        memory: try fixture.memory.bytes(at: GuestPhysicalAddress(page), count: 8)
      )
    }
    #expect(results[0].exit == .halt)
    // The page fault's handler.
    #expect(results[0].state.instructionPointer == ExceptionFixture.handlers + 14 * 16 + 1)
    #expect(results[0].state.cr2 == page)
    #expect(results[0].retired == results[1].retired)
    #expect(results[0].state == results[1].state)
    #expect(results[0].memory == results[1].memory)
  }

  private func word(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// Sets the MSRs and goes to the user's code.
  private func kernel(mask: UInt32) -> [UInt8] {
    func write(_ index: UInt32, _ low: UInt32, _ high: UInt32) -> [UInt8] {
      // mov ecx; mov eax; mov edx; wrmsr
      [0xB9] + word(index) + [0xB8] + word(low) + [0xBA] + word(high) + [0x0F, 0x30]
    }
    return write(0xC000_0081, 0, 0x0013_0008) + write(0xC000_0082, UInt32(Self.handler), 0)
      + write(0xC000_0084, mask, 0)
      // mov ecx, user; mov r11d, 2; sysretq
      + [0xB9] + word(UInt32(Self.user)) + [0x41, 0xBB] + word(2) + [0x48, 0x0F, 0x07]
  }

  private var userCode: [UInt8] {
    let body: [UInt8] = [
      0x01, 0xD8,  // add eax, ebx
      0x0F, 0x05,  // syscall
      0x9C, 0x5A,  // pushfq; pop rdx
      0x49, 0x31, 0xD0,  // xor r8, rdx
      0x4D, 0x01, 0xD8,  // add r8, r11
      0x49, 0x01, 0xC8,  // add r8, rcx
      0x8C, 0xCA, 0x49, 0x01, 0xD0,  // mov edx, cs; add r8, rdx
      0x8C, 0xD2, 0x49, 0x31, 0xD0,  // mov edx, ss; xor r8, rdx
    ]
    return body + [0xEB, UInt8(bitPattern: Int8(-body.count - 2))]  // jmp
  }

  private var handlerCode: [UInt8] {
    [
      0x9C, 0x5A,  // pushfq; pop rdx
      0x4D, 0x01, 0xD9,  // add r9, r11
      0x49, 0x31, 0xD1,  // xor r9, rdx
      0x49, 0x01, 0xC9,  // add r9, rcx
      0x8C, 0xCA, 0x49, 0x01, 0xD1,  // mov edx, cs; add r9, rdx
      0x8C, 0xD2, 0x49, 0x31, 0xD1,  // mov edx, ss; xor r9, rdx
      // imul r15, r15, …; lea r15, [r15 + …]; mov r11, r15; and r11d, the arithmetic flags, DF and AC
      0x4D, 0x69, 0xFF, 0x2D, 0xF4, 0x51, 0x58, 0x4D, 0x8D, 0xBF, 0x79, 0x35, 0x14, 0x0B,
      0x4D, 0x89, 0xFB, 0x41, 0xC1, 0xEB, 0x09, 0x41, 0x81, 0xE3, 0xD5, 0x0C, 0x04, 0x00,
      0xE8, 0x07, 0x00, 0x00, 0x00,  // call
      0xFF, 0xCB, 0x74, 0x04,  // dec ebx; jz
      0x48, 0x0F, 0x07,  // sysretq
      0xC3,  // ret
      0xF4,  // hlt
    ]
  }
}
