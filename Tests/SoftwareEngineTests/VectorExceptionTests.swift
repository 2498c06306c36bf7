import EngineInterface
import GuestMemory
import HostSystem
import MachineTypes
import Testing
import X86

/// Exceptions of the vector and x87 units, and accesses element by element.
@Suite struct VectorExceptionTests {
  private static let device = ExceptionFixture.device
  private static let missing = ExceptionFixture.missing

  private static let addps: [UInt8] = [0x0F, 0x58, 0xC1]
  private static let vaddps: [UInt8] = [0xC5, 0xF4, 0x58, 0xC1]
  private static let pxorMMX: [UInt8] = [0x0F, 0xEF, 0xC1]
  private static let fld1: [UInt8] = [0xD9, 0xE8]
  private static let all = [addps, vaddps, pxorMMX, fld1]

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"), arguments: all)
  func `each unit runs when it may`(code: [UInt8]) throws {
    #expect(try ExceptionFixture.exception(code) == nil)
  }

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"), arguments: all)
  func `a task switch makes every unit unavailable`(code: [UInt8]) throws {
    #expect(try ExceptionFixture.exception(code) { $0.cr0.insert(.taskSwitched) } == 7)
  }

  @Test func `emulation is #NM for x87 and #UD for MMX and SSE`() throws {
    #expect(try ExceptionFixture.exception(Self.fld1) { $0.cr0.insert(.emulation) } == 7)
    #expect(try ExceptionFixture.exception(Self.pxorMMX) { $0.cr0.insert(.emulation) } == 6)
    #expect(try ExceptionFixture.exception(Self.addps) { $0.cr0.insert(.emulation) } == 6)
  }

  @Test func `SSE needs CR4.OSFXSR, and MMX does not`() throws {
    #expect(try ExceptionFixture.exception(Self.addps) { $0.cr4.remove(.osFXSR) } == 6)
    #expect(try ExceptionFixture.exception(Self.pxorMMX) { $0.cr4.remove(.osFXSR) } == nil)
  }

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"))
  func `AVX needs CR4.OSXSAVE and all of its state in XCR0`() throws {
    #expect(try ExceptionFixture.exception(Self.vaddps) { $0.cr4.remove(.osXSAVE) } == 6)
    #expect(try ExceptionFixture.exception(Self.vaddps) { $0.xcr0 = 3 } == 6)
    // VGATHERDPS, VMASKMOVPS, VZEROUPPER
    for code: [UInt8] in [
      [0xC4, 0xE2, 0x61, 0x92, 0x14, 0x0E], [0xC4, 0xE2, 0x61, 0x2C, 0x16], [0xC5, 0xF8, 0x77],
    ] {
      #expect(try ExceptionFixture.exception(code) { $0.xcr0 = 3 } == 6)
      #expect(try ExceptionFixture.exception(code) { $0.cr0.insert(.taskSwitched) } == 7)
    }
  }

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"))
  func `LOCK and legacy prefixes before VEX are #UD`() throws {
    for prefix: UInt8 in [0xF0, 0x66, 0xF2, 0xF3, 0x48] {
      #expect(try ExceptionFixture.exception([prefix] + Self.vaddps) == 6)
    }
    #expect(try ExceptionFixture.exception([0xF0] + Self.addps) == 6)
  }

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"))
  func `legacy operands must be aligned, VEX operands only of aligned moves`() throws {
    let registers: [UInt64] = [0, 0, 0, 0, 0, 0, EngineFixture.dataAddress + 1]
    // addps xmm0, [rsi]; movups; vaddps; vmovaps
    #expect(try ExceptionFixture.exception([0x0F, 0x58, 0x06], registers) == 13)
    #expect(try ExceptionFixture.exception([0x0F, 0x10, 0x06], registers) == nil)
    #expect(try ExceptionFixture.exception([0xC5, 0xF4, 0x58, 0x06], registers) == nil)
    #expect(try ExceptionFixture.exception([0xC5, 0xFC, 0x28, 0x06], registers) == 13)
  }

  @Test func `an unmasked division by zero is #XM, or #UD without CR4.OSXMMEXCPT`() throws {
    // divps xmm0, xmm1 with XMM0 of ones and XMM1 of zeroes
    func prepare(_ state: inout VirtualCPUState) {
      state.extendedState[512] = 3
      for lane in 0..<4 {
        state.extendedState[160 + lane * 4 + 2] = 0x80
        state.extendedState[160 + lane * 4 + 3] = 0x3F
      }
      // MXCSR 0x1D80: ZM clear.
      state.extendedState[24] = 0x80
      state.extendedState[25] = 0x1D
    }
    let divps: [UInt8] = [0x0F, 0x5E, 0xC1]
    #expect(try ExceptionFixture.exception(divps, prepare: prepare) == 19)
    #expect(
      try ExceptionFixture.exception(divps) {
        prepare(&$0)
        $0.cr4.remove(.osXMMExceptions)
      } == 6)
    let (fixture, _) = try ExceptionFixture.run(divps, prepare: prepare)
    let state = try fixture.cpu.saveState().extendedState
    #expect(state[24] == 0x84)
    #expect(Array(state[160..<164]) == [0, 0, 0x80, 0x3F])
  }

  @Test func `an unmasked x87 exception waits for the next instruction that waits`() throws {
    // fninit; fldcw [rsi] with ZM clear; fld1; fldz; fdivp: pending
    let data = EngineFixture.dataAddress
    let registers: [UInt64] = [0, 0, 0, 0, 0, 0, data]
    let pending: [UInt8] = [
      0xDB, 0xE3, 0x66, 0xC7, 0x06, 0x7B, 0x03, 0xD9, 0x2E, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9,
    ]
    #expect(try ExceptionFixture.exception(pending, registers) == nil)
    // FNSTSW, FNCLEX; FWAIT, FLD1, PXOR
    #expect(try ExceptionFixture.exception(pending + [0xDF, 0xE0], registers) == nil)
    #expect(try ExceptionFixture.exception(pending + [0xDB, 0xE2, 0x9B], registers) == nil)
    for code: [UInt8] in [[0x9B], Self.fld1, Self.pxorMMX] {
      #expect(try ExceptionFixture.exception(pending + code, registers) == 16)
    }
  }

  @Test func `a popping store to a device pops once`() throws {
    // fninit; fld1; fldz; fldpi; fstp qword [rsi]; fnstsw ax; hlt
    let (fixture, exit) = try ExceptionFixture.run(
      [0xDB, 0xE3, 0xD9, 0xE8, 0xD9, 0xEE, 0xD9, 0xEB, 0xDD, 0x1E, 0xDF, 0xE0],
      [0, 0, 0, 0, 0, 0, Self.device])
    #expect(
      exit == .mmioWrite(GuestPhysicalAddress(Self.device), .quadword, Double.pi.bitPattern))
    #expect(try fixture.run() == .halt)
    // Two values left: TOP is 6.
    #expect(try fixture.cpu.saveState().generalRegisters[0] & 0x3800 == 6 << 11)
  }

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"))
  func `a fault in the middle of a gather keeps what was loaded`() throws {
    // vpgatherdd xmm2, [rsi + xmm1], xmm3: the third of the elements is missing
    let data = EngineFixture.dataAddress
    let (fixture, _) = try ExceptionFixture.run(
      [0xC4, 0xE2, 0x61, 0x90, 0x14, 0x0E], [0, 0, 0, 0, 0, 0, data]
    ) { state in
      state.extendedState += [UInt8](repeating: 0, count: max(0, 832 - state.extendedState.count))
      state.extendedState[512] = 7
      for (lane, index) in [UInt32(8), 12, UInt32(Self.missing - data), 16].enumerated() {
        for byte in 0..<4 {
          state.extendedState[160 + 16 + lane * 4 + byte] = UInt8(index >> (byte * 8) & 255)
        }
        state.extendedState[160 + 48 + lane * 4 + 3] = 0x80
      }
    }
    var state = try fixture.cpu.saveState()
    #expect(state.instructionPointer == ExceptionFixture.handlers + 14 * 16 + 1)
    #expect(state.cr2 == Self.missing)
    func mask() -> [Bool] {
      (0..<4).map { (lane: Int) -> Bool in state.extendedState[211 + lane * 4] != 0 }
    }
    #expect(mask() == [false, false, true, true])
    // Made present, the instruction goes on; what it loaded before is not loaded again.
    try fixture.memory.store(UInt64(4 << 21 | 0x83), at: GuestPhysicalAddress(0x3000 + 4 * 8))
    try fixture.memory.store(UInt64(0x1111), at: GuestPhysicalAddress(data + 8))
    try fixture.memory.store(UInt32(0x3333), at: GuestPhysicalAddress(Self.missing))
    try fixture.memory.store(UInt32(0x4444), at: GuestPhysicalAddress(data + 16))
    state.instructionPointer = EngineFixture.codeAddress
    state.activity = .runnable
    try fixture.cpu.restoreState(state)
    #expect(try fixture.run() == .halt)
    state = try fixture.cpu.saveState()
    #expect(state.instructionPointer == EngineFixture.codeAddress + 7)
    #expect(mask() == [false, false, false, false])
    let lanes: [UInt8] = (0..<4).map { (lane: Int) -> UInt8 in state.extendedState[192 + lane * 4] }
    #expect(lanes == [0, 0, 0x33, 0x44])
  }

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"))
  func `a gather from a device asks for each element once`() throws {
    // vpgatherdd xmm2, [rsi + xmm1*4], xmm3 with indices 0…3 and the third left out
    let (fixture, exit) = try ExceptionFixture.run(
      [0xC4, 0xE2, 0x61, 0x90, 0x14, 0x8E], [0, 0, 0, 0, 0, 0, Self.device]
    ) { state in
      state.extendedState += [UInt8](repeating: 0, count: max(0, 832 - state.extendedState.count))
      state.extendedState[512] = 7
      for lane in 0..<4 {
        state.extendedState[160 + 16 + lane * 4] = UInt8(lane)
        state.extendedState[160 + 48 + lane * 4 + 3] = lane == 2 ? 0 : 0x80
      }
    }
    #expect(exit == .mmioRead(GuestPhysicalAddress(Self.device), .doubleword))
    #expect(
      try fixture.cpu.run(.completeRead(0x11))
        == .mmioRead(GuestPhysicalAddress(Self.device + 4), .doubleword))
    #expect(
      try fixture.cpu.run(.completeRead(0x22))
        == .mmioRead(GuestPhysicalAddress(Self.device + 12), .doubleword))
    #expect(try fixture.cpu.run(.completeRead(0x44)) == .halt)
    let state = try fixture.cpu.saveState().extendedState
    let lanes: [UInt8] = (0..<4).map { (lane: Int) -> UInt8 in state[192 + lane * 4] }
    #expect(lanes == [0x11, 0x22, 0, 0x44])
  }

  @Test(.enabled(if: HostCPU.hasAVX, "the host has no AVX"))
  func `masked moves touch only what their mask selects`() throws {
    // The last two elements lie in a page that is missing.
    let registers: [UInt64] = [0, 0, 0, 0, 0, 0, Self.missing - 8]
    func select(_ lanes: [Int]) -> (inout VirtualCPUState) -> Void {
      { state in
        state.extendedState[512] = 3
        for lane in lanes { state.extendedState[160 + 48 + lane * 4 + 3] = 0x80 }
        for byte in 0..<16 { state.extendedState[160 + 32 + byte] = UInt8(byte + 1) }
      }
    }
    let load: [UInt8] = [0xC4, 0xE2, 0x61, 0x2C, 0x16]
    let store: [UInt8] = [0xC4, 0xE2, 0x61, 0x2E, 0x16]
    for code in [load, store] {
      #expect(try ExceptionFixture.exception(code, registers, prepare: select([0, 1])) == nil)
      #expect(try ExceptionFixture.exception(code, registers, prepare: select([0, 2])) == 14)
      #expect(try ExceptionFixture.exception(code, registers, prepare: select([])) == nil)
    }
    let (fixture, _) = try ExceptionFixture.run(store, registers, prepare: select([1, 3]))
    let written = try fixture.memory.bytes(at: GuestPhysicalAddress(Self.missing - 8), count: 8)
    #expect(written == [0, 0, 0, 0, 0, 0, 0, 0])
    let (other, _) = try ExceptionFixture.run(store, registers, prepare: select([1]))
    let bytes = try other.memory.bytes(at: GuestPhysicalAddress(Self.missing - 8), count: 8)
    #expect(bytes == [0, 0, 0, 0, 5, 6, 7, 8])
  }
}
