import DeviceModel
import GuestMemory
import MachineTypes
import MartletTesting
import Paravirtualization
import Testing
import X86

private func kvm() throws -> KVMInterface {
  KVMInterface(
    memory: try GuestRAM(byteCount: 1 << 20),
    time: TimeSource(clock: FakeClock(), tscFrequencyKilohertz: 1_000_000))
}

/// A hypervisor of one leaf, one register and one call.
private struct OtherInterface: ParavirtualInterface {
  static let register = MSRIndex(rawValue: 0x4000_0000)
  var value: UInt64 = 0

  let signature = "Other"
  let leafCount: UInt32 = 1
  var msrs: [ClosedRange<UInt32>] { [0x4000_0000...0x4000_0000] }

  func leaf(_ offset: UInt32) -> CPUIDEntry? { nil }

  mutating func readMSR(_ index: MSRIndex, on cpu: VirtualCPUIndex) -> MSROutcome {
    index == Self.register ? .completed(value) : .notHandled
  }

  mutating func writeMSR(
    _ index: MSRIndex, _ value: UInt64, on cpu: VirtualCPUIndex
  ) -> MSROutcome {
    guard index == Self.register else { return .notHandled }
    self.value = value
    return .completed(0)
  }

  mutating func hypercall(
    number: UInt64, arguments: [UInt64], privilegeLevel: UInt8
  ) -> UInt64? { number == 0x1234 ? 42 : nil }

  mutating func reset() { value = 0 }
  func save() -> [ParavirtualRegister] {
    [ParavirtualRegister(processor: 0, index: Self.register.rawValue, value: value)]
  }
  mutating func restore(_ registers: [ParavirtualRegister]) throws(RestoreError) {
    value = registers.first?.value ?? 0
  }
}

private let cpu = VirtualCPUIndex.bootstrap

@Test func `interfaces stand side by side at steps of 0x100`() throws {
  let suite = ParavirtualizationSuite([OtherInterface(), try kvm()])
  let table = CPUIDTable(entries: suite.leaves)
  #expect(table.entry(leaf: 0x4000_0000)?.eax == 0x4000_0000)
  #expect(table.entry(leaf: 0x4000_0000)?.ebx == 0x6568_744F)
  #expect(table.entry(leaf: 0x4000_0000)?.ecx == 0x72)
  #expect(table.entry(leaf: 0x4000_0100)?.ebx == 0x4B4D_564B)
  #expect(table.entry(leaf: 0x4000_0100)?.eax == 0x4000_0110)
  #expect(table.entry(leaf: 0x4000_0101) != nil)
}

@Test func `no interface leaves no leaf`() {
  let suite = ParavirtualizationSuite([])
  #expect(suite.leaves.isEmpty && suite.msrs.isEmpty && suite.isEmpty)
}

@Test func `requests go to the interface that knows them`() throws {
  var suite = ParavirtualizationSuite([OtherInterface(), try kvm()])
  #expect(suite.writeMSR(OtherInterface.register, 7, on: cpu) == .completed(0))
  #expect(suite.readMSR(OtherInterface.register, on: cpu) == .completed(7))
  #expect(suite.writeMSR(MSRIndex(rawValue: 0x12), 0x1001, on: cpu) == .completed(0))
  #expect(suite.readMSR(MSRIndex(rawValue: 0x4B56_4D01), on: cpu) == .completed(0x1001))
  #expect(suite.hypercall(number: 0x1234, arguments: [], privilegeLevel: 0) == 42)
  #expect(suite.hypercall(number: 1, arguments: [], privilegeLevel: 0) == 0)
}

@Test func `what no interface knows is unhandled, and a call fails with ENOSYS`() {
  var suite = ParavirtualizationSuite([OtherInterface()])
  #expect(suite.readMSR(.apicBase, on: cpu) == .notHandled)
  #expect(suite.writeMSR(.apicBase, 0, on: cpu) == .notHandled)
  let result = suite.hypercall(number: 2, arguments: [], privilegeLevel: 0)
  #expect(result == UInt64(bitPattern: -1000))
}

@Test func `all interfaces' registers are handed over`() throws {
  let suite = ParavirtualizationSuite([OtherInterface(), try kvm()])
  #expect(
    suite.msrs == [0x4000_0000...0x4000_0000, 0x11...0x12, 0x4B56_4D00...0x4B56_4D01])
}

@Test func `a suite's state comes back in a suite of the same interfaces only`() throws {
  var suite = ParavirtualizationSuite([OtherInterface(), try kvm()])
  _ = suite.writeMSR(OtherInterface.register, 7, on: cpu)
  _ = suite.writeMSR(MSRIndex(rawValue: 0x12), 0x1001, on: cpu)
  var twin = ParavirtualizationSuite([OtherInterface(), try kvm()])
  try twin.restore(suite.save())
  #expect(twin.save() == suite.save())
  var other = ParavirtualizationSuite([])
  let saved = suite.save()
  #expect(throws: RestoreError.self) { try other.restore(saved) }
}

@Test func `reset reaches every interface`() throws {
  var suite = ParavirtualizationSuite([OtherInterface(), try kvm()])
  _ = suite.writeMSR(OtherInterface.register, 7, on: cpu)
  _ = suite.writeMSR(MSRIndex(rawValue: 0x12), 0x1001, on: cpu)
  suite.reset()
  #expect(suite.readMSR(OtherInterface.register, on: cpu) == .completed(0))
  #expect(suite.readMSR(MSRIndex(rawValue: 0x12), on: cpu) == .completed(0))
}
