import MachineTypes
import MartletTesting
import Testing

@testable import SoftwareEngine

@Suite struct LocalAPICModeTests {
  let fixture = APICFixture(count: 2)
  var apic: LocalAPIC { fixture.apics[1] }

  private static let base: UInt64 = 0xFEE0_0000
  private static let enabled: UInt64 = 1 << 11
  private static let extended: UInt64 = 1 << 10

  // MARK: IA32_APIC_BASE

  @Test(arguments: [UInt64(1), 1 << 7, 1 << 9, 1 << 46, 1 << 63])
  func `reserved bits of the base fault`(bit: UInt64) {
    #expect(apic.writeMSR(0x1B, Self.base | Self.enabled | bit) == .generalProtection)
    #expect(apic.readMSR(0x1B) == Self.base | Self.enabled)
  }

  @Test func `EXTD without EN faults in every mode`() {
    #expect(apic.writeMSR(0x1B, Self.base | Self.extended) == .generalProtection)
    fixture.enterX2APIC()
    #expect(apic.writeMSR(0x1B, Self.base | Self.extended) == .generalProtection)
  }

  @Test func `x2APIC mode is left only by disabling, and not entered from there`() {
    fixture.enterX2APIC()
    #expect(apic.writeMSR(0x1B, Self.base | Self.enabled) == .generalProtection)
    #expect(apic.writeMSR(0x1B, Self.base) == .completed(nil))
    #expect(
      apic.writeMSR(0x1B, Self.base | Self.enabled | Self.extended) == .generalProtection)
    #expect(apic.writeMSR(0x1B, Self.base | Self.enabled) == .completed(nil))
  }

  @Test func `the register page moves with the base and leaves in x2APIC mode`() {
    #expect(apic.mappedOffset(0xFEE0_0300) == 0x300)
    _ = apic.writeMSR(0x1B, 0x2_0000_0000 | Self.enabled)
    #expect(apic.mappedOffset(0xFEE0_0300) == nil)
    #expect(apic.mappedOffset(0x2_0000_0300) == 0x300)
    fixture.enterX2APIC()
    #expect(apic.mappedOffset(0x2_0000_0300) == nil)
  }

  @Test func `disabled, it forgets its registers and takes no interrupt`() {
    _ = apic.write(Register.logicalDestination, 2 << 24)
    fixture.deliver(0x40, to: 1)
    _ = apic.writeMSR(0x1B, Self.base)
    fixture.deliver(0x41, to: 1)
    fixture.deliver(0, to: 1, mode: 4)
    _ = apic.writeMSR(0x1B, Self.base | Self.enabled)
    #expect(apic.read(Register.logicalDestination) == 0)
    #expect(apic.read(Register.spurious) == 0xFF)
    _ = apic.write(Register.spurious, 0x1FF)
    #expect(apic.deliverableVector() == nil)
    #expect(!apic.isNonMaskableInterruptPending)
  }

  @Test func `disabling stops the timer`() {
    _ = apic.write(Register.timerVector, 1 << 17 | 0x40)
    _ = apic.write(Register.initialCount, 1000)
    _ = apic.writeMSR(0x1B, Self.base)
    #expect(fixture.clock.nextDeadline == nil)
  }

  // MARK: x2APIC registers

  @Test func `without x2APIC mode its registers fault`() {
    #expect(apic.readMSR(0x802) == nil)
    #expect(apic.writeMSR(0x808, 0) == .generalProtection)
  }

  @Test func `ids are of 32 bits, and logical ids follow from them`() {
    let fixture = APICFixture(count: 18)
    fixture.enterX2APIC()
    #expect(fixture.apics[17].readMSR(0x802) == 17)
    #expect(fixture.apics[17].readMSR(0x80D) == 0x1_0002)
    #expect(fixture.apics[3].readMSR(0x80D) == 8)
  }

  @Test(arguments: [0x80B as UInt32, 0x83F, 0x809, 0x80C, 0x80E, 0x831, 0x82F, 0x840, 0x8FF])
  func `registers that are not readable fault`(index: UInt32) {
    fixture.enterX2APIC()
    #expect(apic.readMSR(index) == nil)
  }

  @Test(arguments: [
    0x802 as UInt32, 0x803, 0x80A, 0x80D, 0x80E, 0x810, 0x818, 0x820, 0x831, 0x839, 0x82F, 0x8FF,
  ])
  func `registers that are not writable fault`(index: UInt32) {
    fixture.enterX2APIC()
    #expect(apic.writeMSR(index, 0) == .generalProtection)
  }

  private static let reservedBits: [(UInt32, UInt64)] = [
    (0x808, 0x100), (0x80B, 1), (0x80F, 0x1000), (0x828, 1), (0x830, 0x2000), (0x830, 0x1_0000),
    (0x830, 0x10_0000), (0x832, 0x8_0000), (0x833, 0x2_0000), (0x835, 0x2_0000), (0x837, 0x100),
    (0x838, 0x1_0000_0000), (0x83E, 4), (0x83F, 0x100),
  ]

  @Test(arguments: reservedBits)
  func `reserved bits fault`(index: UInt32, value: UInt64) {
    fixture.enterX2APIC()
    #expect(apic.writeMSR(index, value) == .generalProtection)
  }

  @Test func `the command register is one of 64 bits`() {
    fixture.enterX2APIC()
    #expect(apic.writeMSR(0x830, 0x0000_0000_0000_4055) == .completed(nil))
    #expect(apic.readMSR(0x830) == 0x4055)
    #expect(fixture.receivers(of: 0x55) == [0])
  }

  @Test func `SELF IPI reaches only its own CPU`() {
    fixture.enterX2APIC()
    #expect(apic.writeMSR(0x83F, 0x66) == .completed(nil))
    #expect(fixture.receivers(of: 0x66) == [1])
  }

  @Test func `an end of interrupt by MSR tells of level-triggered vectors`() {
    fixture.enterX2APIC()
    fixture.deliver(0x77, to: 1, isLevel: true)
    apic.acknowledge(0x77)
    #expect(apic.writeMSR(0x80B, 0) == .completed(0x77))
  }

  @Test func `entering x2APIC mode keeps what is in flight`() {
    fixture.deliver(0x40, to: 1)
    fixture.enterX2APIC()
    #expect(apic.deliverableVector() == 0x40)
  }

  // MARK: INIT and saved state

  @Test func `INIT resets all but id, base and mode`() {
    fixture.enterX2APIC()
    _ = apic.writeMSR(0x832, 1 << 17 | 0x40)
    _ = apic.writeMSR(0x838, 1000)
    fixture.deliver(0x50, to: 1)
    fixture.deliver(0, to: 1, mode: 5)
    #expect(apic.hasSignal)
    #expect(apic.takeInit())
    #expect(!apic.takeInit())
    #expect(apic.readMSR(0x1B) == Self.base | Self.enabled | Self.extended)
    #expect(apic.readMSR(0x802) == 1)
    #expect(apic.readMSR(0x80F) == 0xFF)
    #expect(apic.readMSR(0x832) == 0x1_0000)
    #expect(fixture.clock.nextDeadline == nil)
    _ = apic.writeMSR(0x80F, 0x1FF)
    #expect(apic.deliverableVector() == nil)
  }

  @Test func `a startup message after INIT survives it, one before does not`() {
    fixture.deliver(0x11, to: 1, mode: 6)
    fixture.deliver(0, to: 1, mode: 5)
    #expect(apic.takeInit())
    #expect(apic.takeStartup() == nil)
    fixture.deliver(0, to: 1, mode: 5)
    fixture.deliver(0x9A, to: 1, mode: 6)
    #expect(apic.takeInit())
    #expect(apic.takeStartup() == 0x9A)
    #expect(!apic.hasSignal)
  }

  @Test func `a saved page restores everything, in both modes`() {
    for isX2APIC in [false, true] {
      let fixture = APICFixture(count: 2)
      let apic = fixture.apics[1]
      _ = apic.write(Register.logicalDestination, 2 << 24)
      _ = apic.write(Register.destinationFormat, 0x0FFF_FFFF)
      _ = apic.write(Register.taskPriority, 0x21)
      _ = apic.write(Register.lint0, 0x700)
      _ = apic.write(Register.timerVector, 1 << 17 | 0x40)
      _ = apic.write(Register.divideConfiguration, 0xB)
      _ = apic.write(Register.initialCount, 1_000_000)
      if isX2APIC { fixture.enterX2APIC() }
      fixture.deliver(0x81, to: 1, isLevel: true)
      apic.acknowledge(0x81)
      fixture.deliver(0x35, to: 1)
      fixture.clock.advance(nanoseconds: 300_000)

      let twin = APICFixture(count: 2, isEnabled: false)
      let copy = twin.apics[1]
      #expect(copy.restoreBase(apic.readMSR(0x1B) ?? 0))
      #expect(copy.restore(apic.save()))
      let isSame = copy.save() == apic.save()
      #expect(isSame)
      #expect(copy.readMSR(0x1B) == apic.readMSR(0x1B))
      #expect(copy.read(Register.currentCount) == 700_000)
      twin.clock.advance(nanoseconds: 699_999)
      #expect(copy.read(Register.requested + 2 * 16) == 0)
      twin.clock.advance(nanoseconds: 1)
      #expect(copy.read(Register.requested + 2 * 16) == 1)
      #expect(copy.endOfInterrupt() == 0x81)
    }
  }

  @Test func `an expired one-shot timer is restored as expired`() {
    _ = apic.write(Register.timerVector, 0x40)
    _ = apic.write(Register.initialCount, 1000)
    fixture.clock.advance(seconds: 1)
    let twin = APICFixture()
    #expect(twin.apic.restore(apic.save()))
    #expect(twin.clock.nextDeadline == nil)
    #expect(twin.apic.read(Register.currentCount) == 0)
    #expect(twin.apic.read(Register.initialCount) == 1000)
  }

  @Test(arguments: [0, 1023, 1025, 4096])
  func `a page of another size is refused`(count: Int) {
    #expect(!apic.restore([UInt8](repeating: 0xFF, count: count)))
  }

  @Test func `any page of the right size is survived`() {
    var state: UInt64 = 42
    for _ in 0..<500 {
      let page = (0..<1024).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 56)
      }
      #expect(apic.restore(page))
      _ = apic.save()
      _ = apic.deliverableVector()
      fixture.clock.advance(nanoseconds: 1_000)
    }
  }
}
