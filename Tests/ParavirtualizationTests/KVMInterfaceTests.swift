import GuestMemory
import MachineTypes
import MartletTesting
@testable import Paravirtualization
import Testing
import X86

/// A KVM interface before a little memory.
private struct Fixture {
  let memory: GuestRAM
  let clock = FakeClock()
  var interface: KVMInterface

  static let wallClock = MSRIndex(rawValue: 0x4B56_4D00)
  static let systemTime = MSRIndex(rawValue: 0x4B56_4D01)

  init(kilohertz: UInt32 = 2_500_000) throws {
    memory = try GuestRAM(byteCount: 1 << 20)
    clock.advance(seconds: 3)
    interface = KVMInterface(
      memory: memory, time: TimeSource(clock: clock, tscFrequencyKilohertz: kilohertz))
  }

  /// The hypervisor leaves as a guest sees them.
  var leaves: CPUIDTable {
    CPUIDTable(entries: ParavirtualizationSuite([interface]).leaves)
  }

  func load<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, _ address: UInt64) throws -> T {
    try memory.load(type, at: GuestPhysicalAddress(address))
  }
}

private let first = VirtualCPUIndex(rawValue: 0)
private let second = VirtualCPUIndex(rawValue: 1)

@Test func `identification spells KVM and names the last leaf`() throws {
  let table = try Fixture().leaves
  let leaf = try #require(table.entry(leaf: 0x4000_0000))
  var text: [UInt8] = []
  for word in [leaf.ebx, leaf.ecx, leaf.edx] {
    for byte in 0..<4 { text.append(UInt8(truncatingIfNeeded: word >> (8 * UInt32(byte)))) }
  }
  #expect(text == Array("KVMKVMKVM".utf8) + [0, 0, 0])
  #expect(leaf.eax == 0x4000_0010)
  #expect(table.entries.map(\.leaf).max() == leaf.eax)
}

@Test func `features are the two clocks, their stability and undelayed ports`() throws {
  let leaf = try #require(try Fixture().leaves.entry(leaf: 0x4000_0001))
  #expect(leaf.eax == 0x0100_000B)
  #expect(leaf.edx == 0)
}

@Test func `the timing leaf gives the frequencies in kHz`() throws {
  let leaf = try #require(try Fixture(kilohertz: 2_500_000).leaves.entry(leaf: 0x4000_0010))
  #expect(leaf.eax == 2_500_000)
  #expect(leaf.ebx == 1_000_000)
}

@Test(arguments: [UInt32(0x11), 0x4B56_4D00])
func `the wall clock at the machine's start is written where the guest asks`(msr: UInt32) throws {
  var fixture = try Fixture()
  #expect(
    fixture.interface.writeMSR(MSRIndex(rawValue: msr), 0x2004, on: first) == .completed(0))
  #expect(try fixture.load(UInt32.self, 0x2004) == 2)
  #expect(try fixture.load(UInt32.self, 0x2008) == 1_709_210_096)
  #expect(try fixture.load(UInt32.self, 0x200C) == 0)
  #expect(fixture.interface.readMSR(MSRIndex(rawValue: msr), on: second) == .completed(0x2004))
}

@Test(arguments: [UInt32(0x12), 0x4B56_4D01])
func `a registered clock has scale, flags and an even version`(msr: UInt32) throws {
  var fixture = try Fixture(kilohertz: 2_500_000)
  _ = fixture.interface.writeMSR(MSRIndex(rawValue: msr), 0x3041, on: first)
  let scale = PVClockScale(frequency: 2_500_000_000)
  #expect(try fixture.load(UInt32.self, 0x3040) == 2)
  #expect(try fixture.load(UInt64.self, 0x3048) == 0)
  #expect(try fixture.load(UInt64.self, 0x3050) == 0)
  #expect(try fixture.load(UInt32.self, 0x3058) == scale.multiplier)
  #expect(try fixture.load(Int8.self, 0x305C) == scale.shift)
  #expect(try fixture.load(UInt8.self, 0x305D) == 1)
}

@Test func `each registration moves the version to the next even number`() throws {
  var fixture = try Fixture()
  try fixture.memory.store(UInt32(0xFFFF_FFFD), at: GuestPhysicalAddress(0x3000))
  for expected: UInt32 in [0, 2, 4] {
    _ = fixture.interface.writeMSR(Fixture.systemTime, 0x3001, on: first)
    let version = try fixture.load(UInt32.self, 0x3000)
    #expect(version == expected)
  }
}

@Test func `clocks registered at different times lie on one line`() throws {
  var fixture = try Fixture(kilohertz: 2_596_137)
  _ = fixture.interface.writeMSR(Fixture.systemTime, 0x3001, on: first)
  fixture.clock.advance(nanoseconds: 1_234_567)
  _ = fixture.interface.writeMSR(Fixture.systemTime, 0x4001, on: second)
  #expect(
    try fixture.memory.bytes(at: GuestPhysicalAddress(0x3000), count: 32)
      == fixture.memory.bytes(at: GuestPhysicalAddress(0x4000), count: 32))
}

@Test func `a guest's clock shows the machine's time`() throws {
  var fixture = try Fixture(kilohertz: 2_596_137)
  _ = fixture.interface.writeMSR(Fixture.systemTime, 0x3001, on: first)
  let time = TimeSource(clock: fixture.clock, tscFrequencyKilohertz: 2_596_137)
  let scale = PVClockScale(frequency: 2_596_137_000)
  for _ in 0..<10 {
    fixture.clock.advance(nanoseconds: 98_765_432_101)
    let now = fixture.clock.now
    let tsc = time.timeStamp(at: now)
    let timestamp = try fixture.load(UInt64.self, 0x3008)
    let systemTime = try fixture.load(UInt64.self, 0x3010)
    let shown = systemTime + scale.nanoseconds(tsc - timestamp)
    // A scale of 32 bits is off by less than one nanosecond in two seconds.
    #expect(now.nanoseconds - shown <= now.nanoseconds >> 31 + 2)
  }
}

@Test func `a disabled clock is remembered and not written`() throws {
  var fixture = try Fixture()
  _ = fixture.interface.writeMSR(Fixture.systemTime, 0x3000, on: first)
  #expect(try fixture.load(UInt32.self, 0x3000) == 0)
  #expect(fixture.interface.readMSR(Fixture.systemTime, on: first) == .completed(0x3000))
  #expect(fixture.interface.readMSR(Fixture.systemTime, on: second) == .completed(0))
}

@Test(arguments: [0xF_FFF1 as UInt64, 0x10_0001, 0xFFFF_FFFF_FFFF_FFFF, 0xC000_0001])
func `a structure outside of RAM is not written and raises nothing`(value: UInt64) throws {
  var fixture = try Fixture()
  #expect(fixture.interface.writeMSR(Fixture.systemTime, value, on: first) == .completed(0))
  #expect(fixture.interface.writeMSR(Fixture.wallClock, value | 7, on: first) == .completed(0))
  #expect(
    try fixture.memory.bytes(at: GuestPhysicalAddress(0xF_FFE0), count: 32).allSatisfy { $0 == 0 })
}

@Test func `only announced registers are the engine's to hand over`() throws {
  let interface = try Fixture().interface
  #expect(interface.msrs == [0x11...0x12, 0x4B56_4D00...0x4B56_4D01])
}

@Test func `registers of others are left to them`() throws {
  var fixture = try Fixture()
  for index in [MSRIndex.apicBase, MSRIndex(rawValue: 0x4B56_4D02)] {
    #expect(fixture.interface.readMSR(index, on: first) == .notHandled)
    #expect(fixture.interface.writeMSR(index, 1, on: first) == .notHandled)
  }
}

@Test func `unknown calls are left to others`() throws {
  var fixture = try Fixture()
  #expect(fixture.interface.hypercall(number: 5, arguments: [], privilegeLevel: 0) == nil)
}

@Test func `calls from user mode are not permitted`() throws {
  var fixture = try Fixture()
  let result = fixture.interface.hypercall(number: 1, arguments: [], privilegeLevel: 3)
  #expect(result == UInt64(bitPattern: -1))
}

@Test func `polling for interrupts succeeds`() throws {
  var fixture = try Fixture()
  #expect(fixture.interface.hypercall(number: 1, arguments: [], privilegeLevel: 0) == 0)
}

@Test func `reset forgets every registration`() throws {
  var fixture = try Fixture()
  _ = fixture.interface.writeMSR(Fixture.systemTime, 0x3001, on: first)
  _ = fixture.interface.writeMSR(Fixture.wallClock, 0x2000, on: first)
  fixture.interface.reset()
  #expect(fixture.interface.readMSR(Fixture.systemTime, on: first) == .completed(0))
  #expect(fixture.interface.readMSR(Fixture.wallClock, on: first) == .completed(0))
}

@Test func `saved registers come back without memory being written`() throws {
  var fixture = try Fixture()
  _ = fixture.interface.writeMSR(Fixture.systemTime, 0x3001, on: first)
  _ = fixture.interface.writeMSR(Fixture.systemTime, 0x4001, on: second)
  _ = fixture.interface.writeMSR(Fixture.wallClock, 0x2000, on: first)
  var other = try Fixture()
  try other.interface.restore(fixture.interface.save())
  #expect(other.interface.save() == fixture.interface.save())
  #expect(other.interface.readMSR(Fixture.systemTime, on: second) == .completed(0x4001))
  #expect(try other.load(UInt32.self, 0x4000) == 0)
}

@Test func `foreign registers are refused and change nothing`() throws {
  var fixture = try Fixture()
  _ = fixture.interface.writeMSR(Fixture.wallClock, 0x2000, on: first)
  let before = fixture.interface.save()
  #expect(throws: (any Error).self) {
    try fixture.interface.restore([ParavirtualRegister(processor: 0, index: 0x1B, value: 0)])
  }
  #expect(fixture.interface.save() == before)
}

@Test func `clocks are paired for a guest that wants the host's time of day`() throws {
  var fixture = try Fixture(kilohertz: 2_500_000)
  fixture.clock.advance(nanoseconds: 5)
  let result = fixture.interface.hypercall(
    number: 9, arguments: [0x2004, 0, 0, 0], privilegeLevel: 0)
  #expect(result == 0)
  #expect(try fixture.load(Int64.self, 0x2004) == fixture.clock.wallClockAtStart + 3)
  #expect(try fixture.load(UInt64.self, 0x200C) == 5)
  #expect(try fixture.load(UInt64.self, 0x2014) == 7_500_000_012)
  #expect(try fixture.load(UInt64.self, 0x201C) == 0)
}

@Test(arguments: [
  ([UInt64(0x2000), 1], UInt64(bitPattern: -95)), ([], UInt64(bitPattern: -95)),
  ([0xF_FFF0, 0], UInt64(bitPattern: -14)), ([.max, 0], UInt64(bitPattern: -14)),
])
func `other clocks and addresses beyond memory cannot be paired`(
  arguments: [UInt64], result: UInt64
) throws {
  var fixture = try Fixture()
  let answer = fixture.interface.hypercall(number: 9, arguments: arguments, privilegeLevel: 0)
  #expect(answer == result)
}
