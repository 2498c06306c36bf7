import EngineInterface
import GuestMemory
import MachineTypes
import Synchronization
import Testing
import X86

@testable import KVMEngine

/// An 8259 that asks once, for vector 0x30.
private final class OneInterrupt: ExternalInterruptSource {
  private let requested = Atomic<Bool>(false)

  var isInterruptRequested: Bool { requested.load(ordering: .acquiring) }

  func request() { requested.store(true, ordering: .releasing) }

  func acknowledge() -> InterruptVector {
    requested.store(false, ordering: .releasing)
    return InterruptVector(rawValue: 0x30)
  }
}

@Suite(.enabled(if: KVMPresence.isUsable, KVMPresence.comment), .serialized)
struct KVMInterruptTests {
  /// Real mode: vector 0x30 goes to 0x8100, which writes to port 0x80, and IRETs.
  private static let handler: [UInt8] = [0xB0, 0x77, 0xE6, 0x80, 0xCF]

  private func install(in fixture: KVMEngineFixture) throws {
    try fixture.memory.write(Self.handler, at: GuestPhysicalAddress(0x8100))
    try fixture.memory.write([0x00, 0x81, 0x00, 0x00], at: GuestPhysicalAddress(0x30 * 4))
  }

  @Test(.timeLimit(.minutes(1)))
  func `an 8259 interrupt waits for IF and arrives`() throws {
    let source = OneInterrupt()
    // out 0x81, al; sti; nop; jmp $
    let fixture = try KVMEngineFixture(
      [0xE6, 0x81, 0xFB, 0x90, 0xEB, 0xFE], externalInterrupts: source)
    try install(in: fixture)
    source.request()
    #expect(try fixture.cpu.run(.resume) == .portWrite(PortAddress(0x81), .byte, 0))
    #expect(source.isInterruptRequested)
    #expect(try fixture.cpu.run(.resume) == .portWrite(PortAddress(0x80), .byte, 0x77))
    #expect(!source.isInterruptRequested)
  }

  @Test(.timeLimit(.minutes(1)))
  func `an 8259 interrupt wakes from HLT`() throws {
    let source = OneInterrupt()
    let fixture = try KVMEngineFixture([0xFB, 0xF4, 0xEB, 0xFD], externalInterrupts: source)
    try install(in: fixture)
    fixture.kick(afterMilliseconds: 20)
    #expect(try fixture.cpu.run(.resume) == .interrupted)
    source.request()
    fixture.engine.externalInterruptsChanged()
    #expect(try fixture.cpu.run(.resume) == .portWrite(PortAddress(0x80), .byte, 0x77))
  }
}
