import MachineTypes
import MartletTesting
import Testing

@testable import SoftwareEngine

@Suite struct LocalAPICMessageTests {
  let fixture = APICFixture(count: 4)
  var apics: [LocalAPIC] { fixture.apics }

  private func send(_ command: UInt32, to destination: UInt32 = 0, from sender: Int = 0) {
    _ = apics[sender].write(Register.commandHigh, destination << 24)
    _ = apics[sender].write(Register.commandLow, command)
  }

  // MARK: Destinations

  @Test func `a physical destination is one CPU`() {
    fixture.deliver(0x40, to: 2)
    #expect(fixture.receivers(of: 0x40) == [2])
    fixture.deliver(0x40, to: 9)
    #expect(fixture.receivers(of: 0x40) == [])
  }

  @Test func `destination 0xFF is every CPU`() {
    fixture.deliver(0x40, to: 0xFF)
    #expect(fixture.receivers(of: 0x40) == [0, 1, 2, 3])
    fixture.deliver(0x41, to: 0xFF, isLogical: true)
    #expect(fixture.receivers(of: 0x41) == [0, 1, 2, 3])
  }

  @Test func `a flat logical destination is a set of bits`() {
    for (index, apic) in apics.enumerated() {
      _ = apic.write(Register.logicalDestination, 1 << (24 + UInt32(index)))
    }
    fixture.deliver(0x40, to: 0b0110, isLogical: true)
    #expect(fixture.receivers(of: 0x40) == [1, 2])
    fixture.deliver(0x40, to: 0b1_0000, isLogical: true)
    #expect(fixture.receivers(of: 0x40) == [])
  }

  @Test func `a clustered logical destination is a set of bits of one cluster`() {
    for (index, apic) in apics.enumerated() {
      _ = apic.write(Register.destinationFormat, 0x0FFF_FFFF)
      let logical: UInt32 = UInt32(index / 2) << 4 | 1 << UInt32(index % 2)
      _ = apic.write(Register.logicalDestination, logical << 24)
    }
    fixture.deliver(0x40, to: 0x13, isLogical: true)
    #expect(fixture.receivers(of: 0x40) == [2, 3])
    fixture.deliver(0x40, to: 0x01, isLogical: true)
    #expect(fixture.receivers(of: 0x40) == [0])
    fixture.deliver(0x40, to: 0x23, isLogical: true)
    #expect(fixture.receivers(of: 0x40) == [])
  }

  @Test func `an x2APIC logical destination is a cluster and a set of 16 bits`() {
    let fixture = APICFixture(count: 20)
    fixture.enterX2APIC()
    _ = fixture.apic.writeMSR(0x830, 0x0001_0009 << 32 | 1 << 11 | 0x40)
    #expect(fixture.receivers(of: 0x40) == [16, 19])
    _ = fixture.apic.writeMSR(0x830, 0xFFFF_FFFF << 32 | 0x41)
    #expect(fixture.receivers(of: 0x41) == Array(0..<20))
    _ = fixture.apic.writeMSR(0x830, 0xFF << 32 | 0x42)
    #expect(fixture.receivers(of: 0x42) == [])
    _ = fixture.apic.writeMSR(0x830, 17 << 32 | 0x43)
    #expect(fixture.receivers(of: 0x43) == [17])
  }

  @Test func `messages of devices reach CPUs in x2APIC mode`() {
    fixture.enterX2APIC()
    fixture.deliver(0x40, to: 3)
    #expect(fixture.receivers(of: 0x40) == [3])
    fixture.deliver(0x41, to: 0b0101, isLogical: true)
    #expect(fixture.receivers(of: 0x41) == [0, 2])
  }

  @Test(
    arguments: [
      (UInt32(1), [1] as [Int]), (UInt32(2), [0, 1, 2, 3] as [Int]),
      (UInt32(3), [0, 2, 3] as [Int]),
    ] as [(UInt32, [Int])])
  func `shorthands are self, all, and all but self`(shorthand: UInt32, receivers: [Int]) {
    send(shorthand << 18 | 0x40, to: 2, from: 1)
    #expect(fixture.receivers(of: 0x40) == receivers)
  }

  // MARK: Lowest priority

  @Test func `lowest priority goes to the CPU that has the lowest, the first of equals`() {
    _ = apics[0].write(Register.taskPriority, 0x20)
    fixture.deliver(0x40, to: 0xFF, mode: 1)
    #expect(fixture.receivers(of: 0x40) == [1])
    _ = apics[1].write(Register.taskPriority, 0x30)
    _ = apics[2].write(Register.taskPriority, 0x10)
    _ = apics[3].write(Register.taskPriority, 0x10)
    fixture.deliver(0x40, to: 0xFF, mode: 1)
    #expect(fixture.receivers(of: 0x40) == [2])
  }

  @Test func `lowest priority passes over software-disabled CPUs and finds the only one`() {
    for index in 0..<3 { _ = apics[index].write(Register.spurious, 0xFF) }
    _ = apics[3].write(Register.taskPriority, 0xFF)
    fixture.deliver(0xFE, to: 0xFF, mode: 1)
    #expect(apics[3].read(Register.requested + 7 * 16) == 1 << 30)
  }

  @Test func `a redirection hint makes a logical destination one CPU`() {
    for (index, apic) in apics.enumerated() {
      _ = apic.write(Register.logicalDestination, 1 << (24 + UInt32(index)))
    }
    fixture.deliver(0x40, to: 0b1100, isLogical: true, hasRedirectionHint: true)
    #expect(fixture.receivers(of: 0x40) == [2])
  }

  // MARK: Delivery modes

  @Test func `INIT and startup messages are signals to the CPU`() {
    send(0xC500, to: 1)
    #expect(apics.map(\.hasSignal) == [false, true, false, false])
    send(0x8500, to: 1)
    #expect(apics[1].takeInit())
    send(0x4699, to: 1)
    #expect(apics[1].takeStartup() == 0x99)
  }

  @Test func `INIT de-assert does nothing`() {
    send(2 << 18 | 0x8500)
    #expect(apics.allSatisfy { !$0.hasSignal })
  }

  @Test func `signals and NMI reach a software-disabled CPU, interrupts do not`() {
    _ = apics[2].write(Register.spurious, 0xFF)
    fixture.deliver(0x40, to: 2)
    #expect(apics[2].read(Register.requested + 2 * 16) == 0)
    fixture.deliver(0, to: 2, mode: 4)
    #expect(apics[2].isNonMaskableInterruptPending)
    fixture.deliver(0, to: 2, mode: 5)
    #expect(apics[2].hasSignal)
  }

  @Test func `IPIs are edge-triggered whatever their level bits say`() {
    send(0xC040, to: 1)
    apics[1].acknowledge(0x40)
    #expect(apics[1].endOfInterrupt() == nil)
  }

  @Test func `SMI does nothing`() {
    fixture.deliver(0x40, to: 1, mode: 2)
    #expect(apics[1].deliverableVector() == nil)
    #expect(!apics[1].isNonMaskableInterruptPending && !apics[1].hasSignal)
  }

  @Test func `an IPI with an illegal vector is an error of its sender`() {
    _ = apics[0].write(Register.errorVector, 0xFE)
    send(0x400F, to: 1)
    _ = apics[0].write(Register.errorStatus, 0)
    #expect(apics[0].read(Register.errorStatus) == 1 << 5)
    #expect(apics[0].deliverableVector() == 0xFE)
    #expect(apics[1].deliverableVector() == nil)
  }

  @Test func `a message with an illegal vector is an error of its receiver`() {
    _ = apics[1].write(Register.errorVector, 0xFE)
    fixture.deliver(0x0F, to: 1)
    _ = apics[1].write(Register.errorStatus, 0)
    #expect(apics[1].read(Register.errorStatus) == 1 << 6)
    #expect(apics[1].deliverableVector() == 0xFE)
  }

  @Test func `the delivery status is always idle`() {
    send(0x5040, to: 1)
    #expect(apics[0].read(Register.commandLow) & 1 << 12 == 0)
  }

  // MARK: Waking

  @Test func `whoever receives something is woken, and nobody else`() {
    let before = fixture.wakes.map(\.count)
    fixture.deliver(0x40, to: 1)
    fixture.deliver(0, to: 2, mode: 4)
    let after = fixture.wakes.map(\.count)
    #expect(zip(before, after).map { $1 - $0 } == [0, 1, 1, 0])
  }
}
