import MachineTypes
import MartletTesting
import Testing

@testable import SoftwareEngine

@Suite struct LocalAPICRegisterTests {
  let fixture = APICFixture()
  var apic: LocalAPIC { fixture.apic }

  @Test func `at power-up it is software-disabled with all local interrupts masked`() {
    let apic = APICFixture(isEnabled: false).apic
    #expect(apic.read(Register.spurious) == 0xFF)
    for offset in stride(from: Register.timerVector, through: Register.errorVector, by: 16) {
      #expect(apic.read(offset) == 0x1_0000)
    }
    #expect(apic.read(Register.destinationFormat) == 0xFFFF_FFFF)
    #expect(apic.readMSR(0x1B) == 0xFEE0_0900)
  }

  @Test func `only the first CPU is the bootstrap processor`() {
    let fixture = APICFixture(count: 2)
    #expect(fixture.apics.map { $0.readMSR(0x1B) } == [0xFEE0_0900, 0xFEE0_0800])
    #expect(fixture.apics.map { $0.read(Register.id) } == [0, 1 << 24])
  }

  @Test func `the version says integrated, with six local vectors`() {
    #expect(apic.read(Register.version) == 0x0005_0014)
  }

  @Test func `a software-disabled APIC keeps its local vectors masked`() {
    _ = apic.write(Register.lint0, 0x700)
    #expect(apic.read(Register.lint0) == 0x700)
    _ = apic.write(Register.spurious, 0xFF)
    #expect(apic.read(Register.lint0) == 0x1_0700)
    _ = apic.write(Register.lint0, 0x700)
    #expect(apic.read(Register.lint0) == 0x1_0700)
  }

  private static let writableBits: [(UInt32, UInt32)] = [
    (Register.timerVector, 0x7_00FF), (Register.thermalVector, 0x1_07FF),
    (Register.performanceVector, 0x1_07FF), (Register.lint0, 0x1_A7FF),
    (Register.lint1, 0x1_A7FF), (Register.errorVector, 0x1_00FF),
    (Register.divideConfiguration, 0xB), (Register.logicalDestination, 0xFF00_0000),
    (Register.destinationFormat, 0xFFFF_FFFF), (Register.taskPriority, 0xFF),
    (Register.spurious, 0x3FF),
  ]

  @Test(arguments: writableBits)
  func `registers take only the bits they have`(offset: UInt32, mask: UInt32) {
    _ = apic.write(offset, .max)
    #expect(apic.read(offset) == mask)
  }

  @Test(arguments: [
    Register.version, Register.processorPriority, Register.inService, Register.triggerMode,
    Register.requested, Register.currentCount,
  ])
  func `writes to read-only registers are lost`(offset: UInt32) {
    let before = apic.read(offset)
    _ = apic.write(offset, ~before)
    #expect(apic.read(offset) == before)
    _ = apic.write(Register.errorStatus, 0)
    #expect(apic.read(Register.errorStatus) == 0)
  }

  @Test func `a register that does not exist is an error of its own`() {
    _ = apic.write(Register.errorVector, 0xFE)
    #expect(apic.read(0x2F0) == 0)
    #expect(apic.deliverableVector() == 0xFE)
    #expect(apic.read(Register.errorStatus) == 0)
    _ = apic.write(Register.errorStatus, 0)
    #expect(apic.read(Register.errorStatus) == 0x80)
    _ = apic.write(Register.errorStatus, 0)
    #expect(apic.read(Register.errorStatus) == 0)
  }

  // MARK: Priorities

  @Test func `the highest vector above the task priority is delivered first`() {
    for vector: UInt8 in [0x31, 0x52, 0x51] { fixture.deliver(vector, to: 0) }
    #expect(apic.deliverableVector() == 0x52)
    _ = apic.write(Register.taskPriority, 0x50)
    #expect(apic.deliverableVector() == nil)
    _ = apic.write(Register.taskPriority, 0x4F)
    #expect(apic.deliverableVector() == 0x52)
  }

  @Test func `an interrupt in service holds back its own class and those below`() {
    fixture.deliver(0x51, to: 0)
    apic.acknowledge(0x51)
    #expect(apic.read(Register.processorPriority) == 0x50)
    for vector: UInt8 in [0x40, 0x5F] { fixture.deliver(vector, to: 0) }
    #expect(apic.deliverableVector() == nil)
    fixture.deliver(0x60, to: 0)
    #expect(apic.deliverableVector() == 0x60)
    apic.acknowledge(0x60)
    _ = apic.write(Register.endOfInterrupt, 0)
    #expect(apic.deliverableVector() == nil)
    _ = apic.write(Register.endOfInterrupt, 0)
    #expect(apic.deliverableVector() == 0x5F)
  }

  @Test func `the processor priority is the task priority where its class is not below`() {
    fixture.deliver(0x51, to: 0)
    apic.acknowledge(0x51)
    _ = apic.write(Register.taskPriority, 0x53)
    #expect(apic.read(Register.processorPriority) == 0x53)
    _ = apic.write(Register.taskPriority, 0x4F)
    #expect(apic.read(Register.processorPriority) == 0x50)
  }

  @Test func `CR8 is the class of the task priority`() {
    _ = apic.write(Register.taskPriority, 0x73)
    #expect(apic.taskPriority >> 4 == 7)
    apic.taskPriority = 0x90
    #expect(apic.read(Register.taskPriority) == 0x90)
  }

  @Test func `acknowledging moves a vector from requested to in service`() {
    fixture.deliver(0xA3, to: 0)
    #expect(apic.read(Register.requested + 5 * 16) == 1 << 3)
    apic.acknowledge(0xA3)
    #expect(apic.read(Register.requested + 5 * 16) == 0)
    #expect(apic.read(Register.inService + 5 * 16) == 1 << 3)
  }

  @Test func `a vector that comes again while in service is delivered again`() {
    fixture.deliver(0x41, to: 0)
    apic.acknowledge(0x41)
    fixture.deliver(0x41, to: 0)
    #expect(apic.deliverableVector() == nil)
    _ = apic.write(Register.endOfInterrupt, 0)
    #expect(apic.deliverableVector() == 0x41)
  }

  // MARK: End of interrupt

  @Test func `only a level-triggered interrupt's end is told to others`() {
    fixture.deliver(0x41, to: 0, isLevel: true)
    #expect(apic.read(Register.triggerMode + 2 * 16) == 1 << 1)
    apic.acknowledge(0x41)
    #expect(apic.write(Register.endOfInterrupt, 0) == 0x41)
    fixture.deliver(0x41, to: 0)
    apic.acknowledge(0x41)
    #expect(apic.write(Register.endOfInterrupt, 0) == nil)
  }

  @Test func `an end of nothing is harmless`() {
    #expect(apic.write(Register.endOfInterrupt, 0) == nil)
  }

  // MARK: Local interrupts

  @Test func `LINT0 as ExtINT lets the 8259 through`() {
    #expect(!apic.acceptsExternalInterrupts)
    _ = apic.write(Register.lint0, 0x700)
    #expect(apic.acceptsExternalInterrupts)
    _ = apic.write(Register.lint0, 0x1_0700)
    #expect(!apic.acceptsExternalInterrupts)
    _ = apic.writeMSR(0x1B, 0xFEE0_0100)
    #expect(apic.acceptsExternalInterrupts)
  }

  @Test func `LINT1 raises NMI where it is so programmed`() {
    let fixture = APICFixture(count: 2)
    _ = fixture.apics[1].write(Register.lint1, 0x400)
    fixture.bus.raiseLINT1()
    #expect(fixture.apics.map(\.isNonMaskableInterruptPending) == [false, true])
    #expect(fixture.apics[1].takeNonMaskableInterrupt())
    #expect(!fixture.apics[1].takeNonMaskableInterrupt())
  }

  @Test func `an error interrupt with an illegal vector does not raise itself for ever`() {
    _ = apic.write(Register.errorVector, 0x05)
    _ = apic.write(Register.commandLow, 0x4_0003)
    _ = apic.write(Register.errorStatus, 0)
    #expect(apic.read(Register.errorStatus) == 0x60)
    #expect(apic.deliverableVector() == nil)
  }
}
