import EngineInterface
import GuestMemory
import MachineTypes
import Synchronization
import Testing
import X86

@testable import KVMEngine

@Suite(.enabled(if: KVMPresence.isUsable, KVMPresence.comment), .serialized)
struct KVMRunTests {
  @Test func `string I/O is one access after another`() throws {
    // mov si, 0x9000; mov cx, 3; mov dx, 0x3F8; rep outsb; mov di, 0x9100; mov cx, 2; rep insw; hlt
    let fixture = try KVMEngineFixture([
      0xBE, 0x00, 0x90, 0xB9, 0x03, 0x00, 0xBA, 0xF8, 0x03, 0xF3, 0x6E, 0xBF, 0x00, 0x91, 0xB9,
      0x02, 0x00, 0xF3, 0x6D, 0xE6, 0x99, 0xF4,
    ])
    try fixture.memory.write([0x41, 0x42, 0x43], at: GuestPhysicalAddress(0x9000))
    let port = PortAddress(0x3F8)
    for byte: UInt32 in [0x41, 0x42, 0x43] {
      #expect(try fixture.cpu.run(.resume) == .portWrite(port, .byte, byte))
    }
    #expect(try fixture.cpu.run(.resume) == .portRead(port, .word))
    #expect(try fixture.cpu.run(.completeRead(0x1234)) == .portRead(port, .word))
    #expect(
      try fixture.cpu.run(.completeRead(0x5678)) == .portWrite(PortAddress(0x99), .byte, 0x43 & 0))
    let value: UInt32 = try fixture.memory.load(at: GuestPhysicalAddress(0x9100))
    #expect(value == 0x5678_1234)
  }

  @Test func `memory that is not RAM is the machine's`() throws {
    // mov ax, 0xFFFF; mov ds, ax; mov eax, [0x1010]; mov [0x1018], ax; out 0x99, al
    let fixture = try KVMEngineFixture([
      0xB8, 0xFF, 0xFF, 0x8E, 0xD8, 0x66, 0xA1, 0x10, 0x10, 0xA3, 0x18, 0x10, 0xE6, 0x99,
    ])
    let address = GuestPhysicalAddress(0xFFFF0 + 0x1010)
    #expect(try fixture.cpu.run(.resume) == .mmioRead(address, .doubleword))
    #expect(
      try fixture.cpu.run(.completeRead(0xCAFE_BABE))
        == .mmioWrite(GuestPhysicalAddress(0xFFFF0 + 0x1018), .word, 0xBABE))
    #expect(try fixture.cpu.run(.resume) == .portWrite(PortAddress(0x99), .byte, 0xBE))
  }

  @Test func `a state saved at an OUT goes on behind it`() throws {
    // mov al, 7; out 0x80, al; inc al; out 0x80, al
    let code: [UInt8] = [0xB0, 0x07, 0xE6, 0x80, 0xFE, 0xC0, 0xE6, 0x80]
    let fixture = try KVMEngineFixture(code)
    #expect(try fixture.cpu.run(.resume) == .portWrite(PortAddress(0x80), .byte, 7))
    let state = try fixture.cpu.saveState()
    #expect(state.instructionPointer == 0x8004)
    let other = try KVMEngineFixture(code)
    try other.cpu.restoreState(state)
    let restored = try other.cpu.saveState()
    #expect(restored == state.withTime(of: restored))
    for next in [fixture, other] {
      #expect(try next.cpu.run(.resume) == .portWrite(PortAddress(0x80), .byte, 8))
    }
  }

  @Test func `a kick stops an endless loop, and HLT`() throws {
    for code: [UInt8] in [[0xEB, 0xFE], [0xF4]] {
      let fixture = try KVMEngineFixture(code)
      fixture.kick(afterMilliseconds: 20)
      #expect(try fixture.cpu.run(.resume) == .interrupted)
    }
  }

  @Test func `a kick before the run is remembered, once`() throws {
    let fixture = try KVMEngineFixture([0xE6, 0x80, 0xEB, 0xFC])
    fixture.cpu.kick()
    #expect(try fixture.cpu.run(.resume) == .interrupted)
    #expect(try fixture.cpu.run(.resume) == .portWrite(PortAddress(0x80), .byte, 0))
  }

  /// Each kick is raced against the entry; a lost one would hang the test.
  @Test(.timeLimit(.minutes(1))) func `no kick is lost in many`() throws {
    let fixture = try KVMEngineFixture([0xEB, 0xFE])
    for round in 0..<300 {
      fixture.kick(afterMilliseconds: Double(round % 7) * 0.05)
      #expect(try fixture.cpu.run(.resume) == .interrupted)
    }
  }

  @Test func `an instruction budget is refused`() throws {
    let fixture = try KVMEngineFixture([0xF4])
    #expect(throws: EngineFailure.unsupported("an instruction budget")) {
      try fixture.cpu.setInstructionBudget(1)
    }
    try fixture.cpu.setInstructionBudget(nil)
  }

  @Test func `delegated MSRs are the machine's`() throws {
    // mov ecx, 0x4B564DFF; rdmsr; wrmsr; out 0x80, al
    let fixture = try KVMEngineFixture(
      [0x66, 0xB9, 0xFF, 0x4D, 0x56, 0x4B, 0x0F, 0x32, 0x40, 0x0F, 0x30, 0xE6, 0x80],
      delegatedMSRs: [0x4B56_4DFF...0x4B56_4DFF])
    let index = MSRIndex(rawValue: 0x4B56_4DFF)
    #expect(try fixture.cpu.run(.resume) == .msrRead(index))
    #expect(
      try fixture.cpu.run(.completeRead(0x1_0000_0041)) == .msrWrite(index, 0x1_0000_0042))
    #expect(try fixture.cpu.run(.resume) == .portWrite(PortAddress(0x80), .byte, 0x42))
  }
}

extension VirtualCPUState {
  /// The state, but for what runs on by itself: the time-stamp counter.
  fileprivate func withTime(of other: VirtualCPUState) -> VirtualCPUState {
    var state = self
    state.modelSpecificRegisters = state.modelSpecificRegisters.map { register in
      guard register.index == .timeStampCounter || register.index == .tscAdjust else {
        return register
      }
      return other.modelSpecificRegisters.first { $0.index == register.index } ?? register
    }
    return state
  }
}
