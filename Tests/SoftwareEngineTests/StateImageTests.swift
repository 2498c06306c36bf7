import EngineInterface
import GuestMemory
import HostSystem
import MachineTypes
import Testing
import X86

/// The images of FNSAVE, FNSTENV, FXSAVE and the XSAVE family.
@Suite struct StateImageTests {
  private static let area = EngineFixture.dataAddress
  private static let fldpi: [UInt8] = [0xDB, 0xE3, 0xD9, 0xEB]
  private static let pi: [UInt8] = [0x35, 0xC2, 0x68, 0x21, 0xA2, 0xDA, 0x0F, 0xC9, 0x00, 0x40]

  /// Runs code with the area at [RSI], and returns the memory there.
  private func image(
    _ code: [UInt8], low: UInt64 = 7, before: UInt8 = 0,
    prepare: (inout VirtualCPUState) -> Void = { _ in }
  ) throws -> (bytes: [UInt8], state: VirtualCPUState) {
    // mov edi, esi; mov ecx, 1024; mov al, before; rep stosb; mov eax, low; xor edx, edx
    var fill: [UInt8] = [0x89, 0xF7, 0xB9, 0, 4, 0, 0, 0xB0, before, 0xF3, 0xAA]
    fill += [0xB8, UInt8(low), 0, 0, 0, 0x31, 0xD2]
    let (fixture, exit) = try ExceptionFixture.run(
      fill + code, [0, 0, 0, 0, 0, 0, Self.area], prepare: prepare)
    #expect(exit == .halt)
    let state = try fixture.cpu.saveState()
    #expect(state.instructionPointer > EngineFixture.codeAddress, "an exception")
    return (try fixture.memory.bytes(at: GuestPhysicalAddress(Self.area), count: 1024), state)
  }

  private func word(_ bytes: [UInt8], _ at: Int) -> UInt16 {
    UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8
  }

  private func quad(_ bytes: [UInt8], _ at: Int) -> UInt64 {
    bytes[at..<at + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  private static func make32Bit(_ state: inout VirtualCPUState) {
    state.segments[1].attributes = 0xC09B
  }

  @Test(arguments: [false, true])
  func `FNSAVE writes an image of the operand's size, and begins anew`(isNarrow: Bool) throws {
    let prefix: [UInt8] = isNarrow ? [0x66] : []
    let size = isNarrow ? 14 : 28
    // fldpi; fnsave [rsi]; fnsave [rsi + 0x100]
    let (bytes, state) = try image(
      Self.fldpi + prefix + [0xDD, 0x36] + prefix + [0xDD, 0xB6, 0, 1, 0, 0], before: 0xEE)
    let step = isNarrow ? 2 : 4
    #expect(word(bytes, 0) == 0x37F)
    #expect(word(bytes, step) & 0x3800 == 7 << 11)
    #expect(word(bytes, 2 * step) == 0x3FFF)
    // FIP: the FLDPI behind the filling and FNINIT.
    let place = EngineFixture.codeAddress + 18 + 2
    #expect(word(bytes, 3 * step) == UInt16(truncatingIfNeeded: place))
    #expect(Array(bytes[size..<size + 10]) == Self.pi)
    #expect(bytes[size + 80] == 0xEE)
    #expect(word(bytes, 0x100 + step) & 0x3800 == 0)
    #expect(word(bytes, 0x100 + 2 * step) == 0xFFFF)
    #expect(state.extendedState[4] == 0)
  }

  @Test(arguments: [false, true])
  func `FRSTOR and FLDENV bring back what was saved`(isNarrow: Bool) throws {
    let prefix: [UInt8] = isNarrow ? [0x66] : []
    // fldpi; fnsave [rsi]; frstor [rsi]; fnstenv [rsi + 0x100]; fninit; fldenv [rsi + 0x100];
    // fstp tbyte [rsi + 0x180]
    let (bytes, _) = try image(
      Self.fldpi + prefix + [0xDD, 0x36] + prefix + [0xDD, 0x26] + prefix
        + [0xD9, 0xB6, 0, 1, 0, 0, 0xDB, 0xE3] + prefix + [0xD9, 0xA6, 0, 1, 0, 0]
        + [0xDB, 0xBE, 0x80, 1, 0, 0])
    let count = isNarrow ? 14 : 28
    #expect(Array(bytes[0..<count]) == Array(bytes[0x100..<0x100 + count]))
    #expect(Array(bytes[0x180..<0x18A]) == Self.pi)
  }

  @Test func `a 16-bit code segment's images are narrow without a prefix`() throws {
    let (fixture, exit) = try ExceptionFixture.run(
      // fninit; fldpi; fnsave [esi]
      [0xDB, 0xE3, 0xD9, 0xEB, 0x67, 0xDD, 0x36], [0, 0, 0, 0, 0, 0, Self.area]
    ) { $0.segments[1].attributes = 0x809B }
    #expect(exit == .halt)
    let bytes = try fixture.memory.bytes(at: GuestPhysicalAddress(Self.area), count: 128)
    #expect(Array(bytes[14..<24]) == Self.pi)
  }

  @Test func `FXSAVE has the tags, MXCSR and all registers of the mode`() throws {
    func prepare(_ state: inout VirtualCPUState) {
      state.extendedState[512] = 3
      for offset in 160..<416 { state.extendedState[offset] = 0x5A }
    }
    let (bytes, _) = try image(Self.fldpi + [0x0F, 0xAE, 0x06], before: 0xEE, prepare: prepare)
    #expect(bytes[4] == 0x80)
    #expect(Array(bytes[24..<32]) == [0x80, 0x1F, 0, 0, 0xFF, 0xFF, 0, 0])
    #expect(Array(bytes[32..<42]) == Self.pi)
    #expect(bytes[160..<416].allSatisfy { $0 == 0x5A })
    #expect(bytes[416..<1024].allSatisfy { $0 == 0xEE })
    let (narrow, _) = try image(Self.fldpi + [0x0F, 0xAE, 0x06], before: 0xEE) {
      prepare(&$0)
      Self.make32Bit(&$0)
    }
    #expect(narrow[160..<288].allSatisfy { $0 == 0x5A })
    #expect(narrow[288..<416].allSatisfy { $0 == 0xEE })
  }

  @Test func `FXRSTOR refuses bits that MXCSR lacks, and places not aligned`() throws {
    let registers: [UInt64] = [0, 0, 0, 0, 0, 0, Self.area]
    // mov dword [rsi + 24], 0x10000; fxrstor [rsi]; fxsave [rsi + 8]
    #expect(
      try ExceptionFixture.exception(
        [0xC7, 0x46, 24, 0, 0, 1, 0, 0x0F, 0xAE, 0x0E], registers) == 13)
    #expect(try ExceptionFixture.exception([0x0F, 0xAE, 0x46, 8], registers) == 13)
    #expect(try ExceptionFixture.exception([0x0F, 0xAE, 0x0E], registers) == nil)
    #expect(
      try ExceptionFixture.exception([0x0F, 0xAE, 0x06], registers) {
        $0.cr0.insert(.taskSwitched)
      } == 7)
  }

  /// XMM and the upper halves in use, x87 not.
  private static func useVectors(_ state: inout VirtualCPUState) {
    state.extendedState += [UInt8](repeating: 0, count: max(0, 832 - state.extendedState.count))
    for offset in 160..<416 { state.extendedState[offset] = 0x5A }
    for offset in 576..<832 { state.extendedState[offset] = 0x77 }
    state.extendedState[512] = 7
  }

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"))
  func `XSAVE and its kin say what they wrote`() throws {
    // xsave, xsaveopt: everything asked for, of what is in use
    for code: [UInt8] in [[0x0F, 0xAE, 0x26], [0x0F, 0xAE, 0x36]] {
      let (bytes, _) = try image(code, prepare: Self.useVectors)
      #expect(quad(bytes, 512) == 6)
      #expect(quad(bytes, 520) == 0)
      #expect(bytes[160..<416].allSatisfy { $0 == 0x5A })
      #expect(bytes[576..<832].allSatisfy { $0 == 0x77 })
      #expect(bytes[832..<1024].allSatisfy { $0 == 0 })
    }
    let (compact, _) = try image([0x0F, 0xC7, 0x26], prepare: Self.useVectors)
    #expect(quad(compact, 512) == 6)
    #expect(quad(compact, 520) == 0x8000_0000_0000_0007 as UInt64)
    let (part, _) = try image([0x0F, 0xAE, 0x26], low: 2, prepare: Self.useVectors)
    #expect(quad(part, 512) == 2)
    #expect(bytesAreZero(part[576..<832]))
    // A component that is initial is not written by XSAVEOPT; XSAVE writes it.
    let (optimized, _) = try image([0x0F, 0xAE, 0x36], before: 0)
    #expect(word(optimized, 0) == 0)
    let (whole, _) = try image([0x0F, 0xAE, 0x26], before: 0)
    #expect(word(whole, 0) == 0x37F)
  }

  private func bytesAreZero(_ bytes: ArraySlice<UInt8>) -> Bool { bytes.allSatisfy { $0 == 0 } }

  @Test(
    .enabled(if: HostCPU.hasAVX, "the host has no AVX"),
    arguments: [[0x0F, 0xAE, 0x26], [0x0F, 0xC7, 0x26]] as [[UInt8]])
  func `XRSTOR brings back either format, and initializes what is missing`(save: [UInt8]) throws {
    // save [rsi]; vzeroall; xrstor [rsi]
    let (_, state) = try image(
      save + [0xC5, 0xFC, 0x77, 0x0F, 0xAE, 0x2E], prepare: Self.useVectors)
    #expect(state.extendedState[160..<416].allSatisfy { $0 == 0x5A })
    #expect(state.extendedState[576..<832].allSatisfy { $0 == 0x77 })
    // fldpi; mov byte [rsi + 512], 2; xrstor [rsi]
    let (_, other) = try image(
      save + Self.fldpi + [0xC6, 0x86, 0, 2, 0, 0, 2, 0x0F, 0xAE, 0x2E], prepare: Self.useVectors)
    #expect(other.extendedState[4] == 0)
    #expect(other.extendedState[160..<416].allSatisfy { $0 == 0x5A })
    #expect(bytesAreZero(other.extendedState[576..<832]))
  }

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"))
  func `XRSTOR refuses a header that is not legal`() throws {
    let registers: [UInt64] = [7, 0, 0, 0, 0, 0, Self.area]
    func refusal(_ at: UInt8, _ value: UInt8) throws -> UInt64? {
      // mov byte [rsi + 512 + at], value; xrstor [rsi]
      try ExceptionFixture.exception(
        [0xC6, 0x86, at, 2, 0, 0, value, 0x0F, 0xAE, 0x2E], registers)
    }
    #expect(try refusal(0, 7) == nil)
    #expect(try refusal(0, 8) == 13)
    #expect(try refusal(8, 1) == 13)
    #expect(try refusal(16, 1) == 13)
    // Bytes 24…63 are reserved in the compacted format only.
    #expect(try refusal(40, 1) == nil)
  }

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"))
  func `outside 64-bit mode the upper eight registers stay, and W widens no general register`()
    throws
  {
    let (_, state) = try image([0xC5, 0xFC, 0x77]) {
      Self.useVectors(&$0)
      Self.make32Bit(&$0)
    }
    #expect(bytesAreZero(state.extendedState[160..<288]))
    #expect(state.extendedState[288..<416].allSatisfy { $0 == 0x5A })
    #expect(state.extendedState[704..<832].allSatisfy { $0 == 0x77 })
    // vmovd xmm1, ebx with W: RBX has more bits
    let (fixture, _) = try ExceptionFixture.run(
      [0xC4, 0xE1, 0xF9, 0x6E, 0xCB], [0, 0, 0, ~0, 0, 0, 0], prepare: Self.make32Bit)
    let moved = try fixture.cpu.saveState().extendedState
    #expect(quad(moved, 176) == 0xFFFF_FFFF)
  }
}
