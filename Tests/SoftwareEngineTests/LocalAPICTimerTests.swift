import MachineTypes
import MartletTesting
import Synchronization
import Testing

@testable import SoftwareEngine

@Suite struct LocalAPICTimerTests {
  let fixture = APICFixture()
  var apic: LocalAPIC { fixture.apic }

  private static let periodic: UInt32 = 1 << 17
  private static let deadline: UInt32 = 2 << 17
  private static let masked: UInt32 = 1 << 16
  private static let divideByOne: UInt32 = 0xB

  /// Takes and finishes the timer's interrupt, if it is there.
  private func takeInterrupt(_ vector: UInt8 = 0x40) -> Bool {
    fixture.receivers(of: vector) == [0]
  }

  private func start(_ mode: UInt32, count: UInt32, divide: UInt32 = divideByOne) {
    _ = apic.write(Register.divideConfiguration, divide)
    _ = apic.write(Register.timerVector, mode | 0x40)
    _ = apic.write(Register.initialCount, count)
  }

  @Test func `a one-shot timer fires once, at its count`() {
    start(0, count: 1_000_000)
    fixture.clock.advance(nanoseconds: 999_999)
    #expect(!takeInterrupt())
    #expect(apic.read(Register.currentCount) == 1)
    fixture.clock.advance(nanoseconds: 1)
    #expect(takeInterrupt())
    #expect(apic.read(Register.currentCount) == 0)
    #expect(apic.read(Register.initialCount) == 1_000_000)
    fixture.clock.advance(seconds: 5)
    #expect(!takeInterrupt())
  }

  @Test(arguments: [
    (UInt32(0xB), UInt64(1)), (0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (0xA, 128),
  ])
  func `the divider slows the count`(configuration: UInt32, divisor: UInt64) {
    start(0, count: 1000, divide: configuration)
    fixture.clock.advance(nanoseconds: 10 * divisor)
    #expect(apic.read(Register.currentCount) == 990)
    fixture.clock.advance(nanoseconds: 990 * divisor - 1)
    #expect(!takeInterrupt())
    fixture.clock.advance(nanoseconds: 1)
    #expect(takeInterrupt())
  }

  @Test func `a periodic timer does not drift`() {
    start(Self.periodic, count: 1_000_003)
    var taken = 0
    for _ in 0..<1000 {
      fixture.clock.advance(nanoseconds: 777_777)
      if takeInterrupt() { taken += 1 }
    }
    #expect(taken == 777_777_000 / 1_000_003)
    let into = UInt64(777_777_000) % 1_000_003
    #expect(apic.read(Register.currentCount) == UInt32(1_000_003 - into))
  }

  @Test func `periods missed by a late alarm are one interrupt, and the phase is kept`() {
    start(Self.periodic, count: 1_000_000)
    fixture.clock.jump(nanoseconds: 5_250_000)
    #expect(takeInterrupt())
    #expect(!takeInterrupt())
    #expect(apic.read(Register.currentCount) == 750_000)
    fixture.clock.advance(nanoseconds: 749_999)
    #expect(!takeInterrupt())
    fixture.clock.advance(nanoseconds: 1)
    #expect(takeInterrupt())
  }

  @Test func `the shortest period does not occupy the event thread`() {
    start(Self.periodic, count: 1)
    var fired = 0
    let end = fixture.clock.now.nanoseconds + 1_000_000
    while let next = fixture.clock.nextDeadline, next.nanoseconds <= end, fired < 1000 {
      fixture.clock.advance(nanoseconds: next.nanoseconds - fixture.clock.now.nanoseconds)
      fired += 1
    }
    #expect(fired > 10 && fired <= 1_000_000 / Int(LocalAPIC.shortestInterval))
  }

  @Test func `a count of zero stops the timer`() {
    start(Self.periodic, count: 1000)
    _ = apic.write(Register.initialCount, 0)
    #expect(fixture.clock.nextDeadline == nil)
    #expect(apic.read(Register.currentCount) == 0)
  }

  @Test func `a masked timer counts without an alarm and raises nothing`() {
    start(Self.masked, count: 1_000_000)
    #expect(fixture.clock.nextDeadline == nil)
    fixture.clock.advance(nanoseconds: 250_000)
    #expect(apic.read(Register.currentCount) == 750_000)
    fixture.clock.advance(nanoseconds: 1_000_000)
    _ = apic.write(Register.timerVector, 0x40)
    fixture.clock.advance(seconds: 1)
    #expect(!takeInterrupt())
  }

  @Test func `unmasked in time, it fires at its count`() {
    start(Self.masked, count: 1_000_000)
    fixture.clock.advance(nanoseconds: 400_000)
    _ = apic.write(Register.timerVector, 0x40)
    fixture.clock.advance(nanoseconds: 599_999)
    #expect(!takeInterrupt())
    fixture.clock.advance(nanoseconds: 1)
    #expect(takeInterrupt())
  }

  @Test func `a new divider goes on from the present count`() {
    start(0, count: 1000)
    fixture.clock.advance(nanoseconds: 400)
    _ = apic.write(Register.divideConfiguration, 0x0)
    #expect(apic.read(Register.currentCount) == 600)
    fixture.clock.advance(nanoseconds: 1199)
    #expect(!takeInterrupt())
    fixture.clock.advance(nanoseconds: 1)
    #expect(takeInterrupt())
  }

  @Test func `an expiry is not lost to a register access that comes before the alarm`() {
    start(0, count: 1000)
    // The clock moves without firing its timers, as when their thread is late.
    fixture.clock.skip(nanoseconds: 2000)
    #expect(apic.read(Register.currentCount) == 0)
    #expect(takeInterrupt())
    fixture.clock.advance(nanoseconds: 10)
    #expect(!takeInterrupt())
  }

  @Test func `a software-disabled APIC raises no timer interrupt`() {
    start(Self.periodic, count: 1_000_000)
    _ = apic.write(Register.spurious, 0xFF)
    #expect(fixture.clock.nextDeadline == nil)
    fixture.clock.advance(seconds: 1)
    #expect(apic.read(Register.requested + 32) == 0)
  }

  // MARK: TSC deadline

  @Test func `a deadline fires when the time-stamp counter gets there`() {
    start(Self.deadline, count: 0)
    #expect(apic.writeMSR(0x6E0, 5_000_000) == .completed(nil))
    #expect(apic.readMSR(0x6E0) == 5_000_000)
    fixture.clock.advance(nanoseconds: 4_999_999)
    #expect(!takeInterrupt())
    fixture.clock.advance(nanoseconds: 1)
    #expect(takeInterrupt())
    #expect(apic.readMSR(0x6E0) == 0)
  }

  @Test func `a deadline in the past fires at once`() {
    fixture.clock.advance(seconds: 1)
    start(Self.deadline, count: 0)
    _ = apic.writeMSR(0x6E0, 1)
    fixture.clock.advance(nanoseconds: 0)
    #expect(takeInterrupt())
  }

  @Test func `a deadline of zero disarms`() {
    start(Self.deadline, count: 0)
    _ = apic.writeMSR(0x6E0, 5_000_000)
    _ = apic.writeMSR(0x6E0, 0)
    #expect(fixture.clock.nextDeadline == nil)
  }

  @Test(arguments: [Int64(-3_000_000), 4_000_000])
  func `a deadline is of the guest's own time-stamp counter`(offset: Int64) {
    fixture.clock.advance(nanoseconds: 10_000_000)
    apic.tscOffset.store(UInt64(bitPattern: offset), ordering: .relaxed)
    let tsc = UInt64(10_000_000 + offset)
    start(Self.deadline, count: 0)
    _ = apic.writeMSR(0x6E0, tsc + 1000)
    fixture.clock.advance(nanoseconds: 999)
    #expect(!takeInterrupt())
    fixture.clock.advance(nanoseconds: 1)
    #expect(takeInterrupt())
  }

  @Test func `a deadline that never comes arms no alarm that repeats`() {
    fixture.clock.advance(nanoseconds: 1000)
    apic.tscOffset.store(UInt64(bitPattern: -1000), ordering: .relaxed)
    start(Self.deadline, count: 0)
    _ = apic.writeMSR(0x6E0, .max)
    let next = fixture.clock.nextDeadline
    #expect(next == nil || next == .distantFuture)
  }

  @Test func `outside of its mode a deadline is not taken and the count is not written`() {
    start(0, count: 0)
    #expect(apic.writeMSR(0x6E0, 5_000_000) == .completed(nil))
    #expect(apic.readMSR(0x6E0) == 0)
    _ = apic.write(Register.timerVector, Self.deadline | 0x40)
    _ = apic.write(Register.initialCount, 1000)
    #expect(apic.read(Register.initialCount) == 0)
    #expect(apic.read(Register.currentCount) == 0)
  }

  @Test func `changing to and from deadline mode disarms`() {
    start(Self.periodic, count: 1000)
    _ = apic.write(Register.timerVector, Self.deadline | 0x40)
    #expect(fixture.clock.nextDeadline == nil)
    _ = apic.writeMSR(0x6E0, 5_000_000)
    _ = apic.write(Register.timerVector, 0x40)
    #expect(fixture.clock.nextDeadline == nil)
    fixture.clock.advance(seconds: 1)
    #expect(!takeInterrupt())
  }
}
