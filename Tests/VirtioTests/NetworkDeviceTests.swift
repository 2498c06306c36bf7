import DeviceModel
import GuestMemory
import MachineTypes
import MartletTesting
import Synchronization
import Testing

@testable import PCIBus
@testable import VirtioDevices

/// A network that keeps what is sent, and takes nothing when it is told so.
final class RecordingNetwork: NetworkBackend {
  private struct State: Sendable {
    var sent: [NetworkPacket] = []
    var isFull = false
    var resumeCount = 0
    var receive: (@Sendable (NetworkPacket) -> Bool)?
    var onRoom: (@Sendable () -> Void)?
    var accepted: (@Sendable () -> NetworkOffloads)?
  }

  private let state = Mutex(State())
  var offloads: NetworkOffloads { [.checksum, .tcpIPv4] }
  var maximumTransmissionUnit: UInt16 { 9000 }
  var sent: [NetworkPacket] { state.withLock { $0.sent } }
  var resumeCount: Int { state.withLock { $0.resumeCount } }
  var accepted: NetworkOffloads { state.withLock { $0.accepted }?() ?? [] }

  func connect(
    accepted: @escaping @Sendable () -> NetworkOffloads,
    receive: @escaping @Sendable (NetworkPacket) -> Bool
  ) throws {
    state.withLock {
      $0.receive = receive
      $0.accepted = accepted
    }
  }

  func send(_ packet: NetworkPacket) -> Bool {
    state.withLock {
      if !$0.isFull { $0.sent.append(packet) }
      return !$0.isFull
    }
  }

  func resume() { state.withLock { $0.resumeCount += 1 } }
  func onRoom(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.onRoom = body } }
  func disconnect() {}
  func setFull(_ isFull: Bool) { state.withLock { $0.isFull = isFull } }
  func offer(_ packet: NetworkPacket) -> Bool { state.withLock { $0.receive }?(packet) ?? false }
}

/// A network device with split queues of 8 entries: receive queue 0, transmit queue 1, control queue 2.
struct NetworkFixture {
  let memory: GuestRAM
  let network = RecordingNetwork()
  var device: NetworkDevice
  var queues: VirtioQueues
  private var available: [UInt16] = [0, 0, 0]

  static let address = MACAddress("52:54:00:00:00:07")!
  static let standard = NetworkFeature.mergeableBuffers | NetworkFeature.controlQueue

  init(features: UInt64 = standard) throws {
    memory = try GuestRAM(byteCount: 1 << 20)
    device = NetworkDevice(network, address: Self.address)
    queues = VirtioQueues(memory: memory, sizes: device.queueSizes)
    for number in 0..<3 {
      queues.queues[number].size = 8
      queues.queues[number].descriptors = Self.base(number)
      queues.queues[number].driverArea = Self.base(number) + 0x1000
      queues.queues[number].deviceArea = Self.base(number) + 0x2000
      queues.queues[number].start(features: 0)
    }
    try device.start(features: features, &queues)
  }

  static func base(_ queue: Int) -> UInt64 { 0x1_0000 * UInt64(queue + 1) }
  func at(_ address: UInt64) -> GuestPhysicalAddress { GuestPhysicalAddress(rawValue: address) }

  /// Offers one buffer per descriptor, or one chain of all.
  mutating func offer(
    _ queue: Int, _ buffers: [(address: UInt64, length: UInt32, isWritable: Bool)],
    chained: Bool = false
  ) throws {
    for (number, buffer) in buffers.enumerated() {
      let index = UInt16(number)
      let isLast = !chained || number == buffers.count - 1
      let place = Self.base(queue) + 16 * UInt64(number)
      try memory.store(buffer.address, at: at(place))
      try memory.store(buffer.length, at: at(place + 8))
      try memory.store(
        UInt16((buffer.isWritable ? 2 : 0) | (isLast ? 0 : 1)), at: at(place + 12))
      try memory.store(index + 1, at: at(place + 14))
      guard !chained || number == 0 else { continue }
      let slot = UInt64(available[queue] % 8)
      try memory.store(index, at: at(Self.base(queue) + 0x1000 + 4 + 2 * slot))
      available[queue] &+= 1
    }
    try memory.store(available[queue], at: at(Self.base(queue) + 0x1000 + 2))
  }

  func used(_ queue: Int) throws -> UInt16 { try memory.load(at: at(Self.base(queue) + 0x2002)) }

  func usedLength(_ queue: Int, _ number: UInt64) throws -> UInt32 {
    try memory.load(at: at(Self.base(queue) + 0x2004 + 8 * number + 4))
  }

  /// A control command; returns its status byte.
  mutating func control(_ command: [UInt8]) throws -> UInt8 {
    try memory.write(command, at: at(0x8_0000))
    try offer(
      2, [(0x8_0000, UInt32(command.count), false), (0x8_1000, 1, true)], chained: true)
    try device.notify(2, &queues)
    return try memory.load(at: at(0x8_1000))
  }
}

/// An Ethernet frame of `count` bytes.
func frame(to target: String = "52:54:00:00:00:07", count: Int = 60) -> [UInt8] {
  let header = MACAddress(target)!.bytes + MACAddress("52:54:00:00:00:01")!.bytes + [8, 0]
  return header + (0..<count - 14).map { UInt8(truncatingIfNeeded: $0) }
}

@Suite struct NetworkDeviceTests {
  @Test func `a packet is sent with its header's wishes`() throws {
    var fixture = try NetworkFixture()
    let bytes = frame(count: 400)
    let header: [UInt8] = [1, 1, 54, 0, 100, 0, 34, 0, 16, 0, 0, 0]
    try fixture.memory.write(header, at: fixture.at(0x8_0000))
    try fixture.memory.write(bytes, at: fixture.at(0x9_0000))
    try fixture.offer(1, [(0x8_0000, 12, false), (0x9_0000, 400, false)], chained: true)
    try fixture.device.notify(1, &fixture.queues)
    let sent = try #require(fixture.network.sent.first)
    #expect(sent.bytes == bytes)
    #expect(sent.checksum == NetworkPacket.PartialChecksum(start: 34, offset: 16))
    #expect(sent.segmentation == .tcpIPv4)
    #expect(sent.segmentByteCount == 100)
    let used = try fixture.used(1)
    #expect(used == 1)
  }

  @Test func `a full network holds packets back until it has room`() throws {
    var fixture = try NetworkFixture()
    try fixture.memory.write([UInt8](repeating: 0, count: 12) + frame(), at: fixture.at(0x8_0000))
    try fixture.offer(1, [(0x8_0000, 72, false), (0x8_0000, 72, false)])
    fixture.network.setFull(true)
    try fixture.device.notify(1, &fixture.queues)
    let before = try fixture.used(1)
    #expect(before == 0)
    fixture.network.setFull(false)
    _ = try fixture.device.receive(.networkRoom, &fixture.queues)
    let after = try fixture.used(1)
    #expect(after == 2)
    #expect(fixture.network.sent.count == 2)
  }

  @Test func `a large packet is spread over buffers`() throws {
    var fixture = try NetworkFixture()
    try fixture.offer(0, (0..<4).map { (0x8_0000 + $0 * 0x1000, 100, true) })
    let bytes = frame(count: 300)
    let taken = try fixture.device.receive(.packet(NetworkPacket(bytes: bytes)), &fixture.queues)
    #expect(taken == 1)
    let used = try fixture.used(0)
    #expect(used == 4)
    let count: UInt16 = try fixture.memory.load(at: fixture.at(0x8_000A))
    #expect(count == 4)
    var received: [UInt8] = []
    for number: UInt64 in 0..<4 {
      let length = try fixture.usedLength(0, number)
      received += try fixture.memory.bytes(
        at: fixture.at(0x8_0000 + number * 0x1000), count: Int(length))
    }
    #expect(Array(received.dropFirst(12)) == bytes)
  }

  @Test func `a packet for which there are too few buffers waits, and the network is told`() throws
  {
    var fixture = try NetworkFixture()
    try fixture.device.connect { _ in 1 }
    try fixture.offer(0, [(0x8_0000, 100, true)])
    let packet = NetworkPacket(bytes: frame(count: 150))
    let first = try fixture.device.receive(.packet(packet), &fixture.queues)
    #expect(first == 0)
    let used = try fixture.used(0)
    #expect(used == 0)
    try fixture.offer(0, [(0x8_0000, 100, true), (0x9_0000, 100, true)])
    try fixture.device.notify(0, &fixture.queues)
    #expect(fixture.network.resumeCount == 1)
    let second = try fixture.device.receive(.packet(packet), &fixture.queues)
    #expect(second == 1)
  }

  @Test func `without mergeable buffers a packet that does not fit is dropped`() throws {
    var fixture = try NetworkFixture(features: 0)
    try fixture.offer(0, [(0x8_0000, 100, true)])
    let taken = try fixture.device.receive(
      .packet(NetworkPacket(bytes: frame(count: 150))), &fixture.queues)
    #expect(taken == 1)
    let used = try fixture.used(0)
    #expect(used == 0)
  }

  @Test func `the driver chooses which packets it gets`() throws {
    var fixture = try NetworkFixture()
    let other = NetworkPacket(bytes: frame(to: "52:54:00:00:00:99"))
    let group = NetworkPacket(bytes: frame(to: "01:00:5e:00:00:01"))
    let all = NetworkPacket(bytes: frame(to: "ff:ff:ff:ff:ff:ff"))
    func received(_ packet: NetworkPacket) throws -> Bool {
      let before = try fixture.used(0)
      try fixture.offer(0, [(0x9_0000, 200, true)])
      _ = try fixture.device.receive(.packet(packet), &fixture.queues)
      return try fixture.used(0) != before
    }
    let promiscuous = try received(other)
    #expect(promiscuous)
    let status = try fixture.control([0, 0, 0])
    #expect(status == 0)
    let mine = try received(NetworkPacket(bytes: frame()))
    let others = try received(other)
    let groups = try received(group)
    let broadcast = try received(all)
    #expect(mine && !others && !groups && broadcast)
    let table = try fixture.control([1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x5E, 0, 0, 1])
    #expect(table == 0)
    let listed = try received(group)
    #expect(listed)
    let truncated = try fixture.control([1, 0, 9, 0, 0, 0])
    #expect(truncated == 1)
    let unknown = try fixture.control([77, 0])
    #expect(unknown == 1)
  }

  @Test func `offloads follow what the driver agreed to`() throws {
    let features =
      NetworkFixture.standard | NetworkFeature.guestChecksum | NetworkFeature.guestOffloads | 1 << 7
    var fixture = try NetworkFixture(features: features)
    try fixture.device.connect { _ in 1 }
    #expect(fixture.network.accepted == [.checksum, .tcpIPv4])
    let status = try fixture.control([5, 0, 2, 0, 0, 0, 0, 0, 0, 0])
    #expect(status == 0)
    #expect(fixture.network.accepted == [.checksum])
    let tooMuch = try fixture.control([5, 0, 0, 8, 0, 0, 0, 0, 0, 0])
    #expect(tooMuch == 1)
    fixture.device.reset()
    #expect(fixture.network.accepted == [])
  }

  @Test(arguments: 0..<40) func `random rings end in errors at worst`(seed: UInt64) throws {
    let random = SeededEntropy(seed: seed)
    var fixture = try NetworkFixture()
    for _ in 0..<300 {
      let queue = Int(random.next() % 3)
      let buffers = (0..<Int(random.next() % 8 + 1)).map { _ in
        (
          address: random.next() % 0x11_0000, length: UInt32(random.next() % 0x3000),
          isWritable: random.next() % 3 != 0
        )
      }
      try fixture.offer(queue, buffers, chained: random.next() % 2 == 0)
      if random.next() % 4 == 0 {
        let place = NetworkFixture.base(queue) + random.next() % 0x80
        try fixture.memory.store(random.next(), at: fixture.at(place))
      }
      try? fixture.device.notify(queue, &fixture.queues)
      let count = Int(random.next() % 3000)
      _ = try? fixture.device.receive(
        .packet(NetworkPacket(bytes: [UInt8](repeating: 0xFF, count: count))), &fixture.queues)
    }
    let contents = try fixture.memory.bytes(at: fixture.at(0), count: 16)
    #expect(contents.count == 16)
  }
}
