public import DeviceModel
import GuestMemory
import Synchronization

/// The network device (virtio 1.2 §5.1), plugged into a `NetworkBackend`.
public struct NetworkDevice: VirtioDevice {
  private let link: NetworkLink
  private let pairCount: Int
  private let initialAddress: MACAddress
  private var filter: ReceiveFilter
  private var agreed: UInt64 = 0
  /// Pairs of queues that the driver uses.
  private var activePairs = 1
  /// A packet was refused for want of buffers.
  private var isStarved = false

  private static let queueSize: UInt16 = 256
  /// The largest frame: 64 KiB of IP packet with its headers.
  private static let mostBytes = 65_536 + 22

  /// - Parameters:
  ///   - pairCount: receive and transmit queues, 1…16.
  public init(_ backend: any NetworkBackend, address: MACAddress, pairCount: Int = 1) {
    link = NetworkLink(backend)
    self.pairCount = max(1, min(pairCount, 16))
    initialAddress = address
    filter = ReceiveFilter(address: address)
  }

  /// Starts to receive; `submit` hands what arrives to the machine's input gate.
  public func connect(submit: @escaping @Sendable (DeviceInput) -> Int) throws {
    try link.connect(submit)
  }

  public var deviceType: UInt16 { 1 }

  public var features: UInt64 {
    typealias Bit = NetworkFeature
    var features =
      Bit.checksum | Bit.guestChecksum | Bit.guestOffloads | Bit.mtu | Bit.mac
      | Bit.mergeableBuffers | Bit.status | Bit.controlQueue | Bit.receiveModes | Bit.vlanFilter
      | Bit.moreReceiveModes | Bit.setAddress | Bit.receiveSegmentation
    features |= Bit.sendSegmentation(link.backend.offloads)
    if pairCount > 1 { features |= Bit.multipleQueues }
    return features
  }

  public var queueSizes: [UInt16] {
    Array(repeating: Self.queueSize, count: 2 * pairCount) + [64]
  }

  /// `struct virtio_net_config` (§5.1.4).
  public var configuration: [UInt8] {
    func word(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xFF), UInt8(value >> 8)] }
    let isUp: UInt16 = 1
    return filter.address.bytes + word(isUp) + word(UInt16(pairCount))
      + word(link.backend.maximumTransmissionUnit)
  }

  public mutating func start(
    features: UInt64, _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    agreed = features
    link.accept(NetworkFeature.receiveOffloads(features))
  }

  public mutating func reset() {
    filter = ReceiveFilter(address: initialAddress)
    agreed = 0
    activePairs = 1
    isStarved = false
    link.accept([])
  }

  private var controlQueue: Int {
    agreed & NetworkFeature.multipleQueues != 0 ? 2 * pairCount : 2
  }

  // MARK: Sending

  public mutating func notify(
    _ queue: Int, _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    if queue == controlQueue {
      try control(&queues)
    } else if queue % 2 == 1 {
      try send(queue, &queues)
    } else if isStarved {
      isStarved = false
      link.backend.resume()
    }
  }

  private mutating func send(_ queue: Int, _ queues: inout VirtioQueues) throws(VirtioError) {
    // No more than the queue holds, so that this takes bounded time.
    for _ in 0..<Int(Self.queueSize) {
      guard let chain = try queues.next(queue) else { return }
      let header = try queues.read(chain.readable, limit: NetworkHeader.byteCount)
      let frame = try queues.read(
        chain.readable.slice(from: UInt64(NetworkHeader.byteCount)), limit: Self.mostBytes)
      guard let packet = NetworkHeader.packet(from: header, frame: frame) else {
        throw .badRequest
      }
      guard link.backend.send(packet) else {
        // `networkRoom` follows.
        queues.putBack(chain, to: queue)
        return
      }
      try queues.complete(chain, of: queue)
    }
  }

  // MARK: Receiving

  public mutating func receive(
    _ input: DeviceInput, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Int {
    switch input {
    case .packet(let packet):
      guard filter.accepts(packet.bytes) else { return 1 }
      return try deliver(packet, &queues) ? 1 : 0
    case .networkRoom:
      for pair in 0..<pairCount { try send(2 * pair + 1, &queues) }
      return 1
    default: return 1
    }
  }

  /// Hands a packet to the driver; `false` if there is no room for it now.
  private mutating func deliver(
    _ packet: NetworkPacket, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Bool {
    let queue = 2 * flow(of: packet.bytes)
    let size = UInt64(packet.bytes.count + NetworkHeader.byteCount)
    let isMergeable = agreed & NetworkFeature.mergeableBuffers != 0
    var chains: [DescriptorChain] = []
    var room: UInt64 = 0
    while room < size {
      guard let chain = try queues.next(queue) else {
        for chain in chains.reversed() { queues.putBack(chain, to: queue) }
        isStarved = true
        return false
      }
      guard chain.writable.byteCount >= UInt64(NetworkHeader.byteCount) else { throw .badRequest }
      chains.append(chain)
      room &+= min(chain.writable.byteCount, size)
      if !isMergeable { break }
    }
    let header = NetworkHeader.bytes(of: packet, bufferCount: UInt16(chains.count))
    guard room >= size else {
      // Buffers are too small, which only a driver without mergeable ones can have: dropped.
      queues.putBack(chains[0], to: queue)
      return true
    }
    var position = 0
    var done: [(chain: DescriptorChain, written: UInt32)] = []
    for (number, chain) in chains.enumerated() {
      var written = 0
      var target = chain.writable
      if number == 0 {
        written = try queues.write(header, to: target)
        target = target.slice(from: UInt64(written))
      }
      let count = Int(min(target.byteCount, UInt64(packet.bytes.count - position)))
      try queues.write(packet.bytes, from: position, count: count, to: target)
      position += count
      done.append((chain, UInt32(written + count)))
    }
    try queues.complete(done, of: queue)
    return true
  }

  /// The pair of queues that a packet's connection belongs to, by its addresses.
  private func flow(of bytes: [UInt8]) -> Int {
    guard activePairs > 1, bytes.count >= 38 else { return 0 }
    // Addresses and ports of IPv4; parts of the addresses of IPv6.
    let hash = bytes[26..<38].reduce(UInt32(5381)) { $0 &* 33 ^ UInt32($1) }
    return Int(hash % UInt32(activePairs))
  }

  // MARK: The control queue (§5.1.6.5)

  private mutating func control(_ queues: inout VirtioQueues) throws(VirtioError) {
    for _ in 0..<64 {
      guard let chain = try queues.next(controlQueue) else { return }
      let command = try queues.read(chain.readable, limit: 4096)
      let status: UInt8 = command.count >= 2 && perform(command, &queues) ? 0 : 1
      try queues.write([status], to: chain.writable)
      try queues.complete(chain, of: controlQueue, written: 1)
    }
  }

  /// Carries a command out; `false` if it is not one that this device knows.
  private mutating func perform(_ command: [UInt8], _ queues: inout VirtioQueues) -> Bool {
    let data = command[2...]
    switch (command[0], command[1]) {
    case (0, let mode): return filter.setMode(mode, data)
    case (1, 0): return filter.setTable(data)
    case (1, 1):
      guard let address = MACAddress(bytes: data) else { return false }
      filter.address = address
    case (2, let change): return filter.changeVLANs(change, data)
    case (4, 0):
      let pairs = Int(littleEndian(data))
      guard data.count == 2, (1...pairCount).contains(pairs) else { return false }
      activePairs = pairs
    case (5, 0):
      let wanted = littleEndian(data)
      guard data.count == 8, wanted & ~agreed == 0 else { return false }
      link.accept(NetworkFeature.receiveOffloads(wanted))
    default: return false
    }
    return true
  }
}

/// The backend, and what its threads may ask for without the device's lock.
private final class NetworkLink: Sendable {
  let backend: any NetworkBackend
  private let accepted = Atomic<UInt8>(0)

  init(_ backend: any NetworkBackend) { self.backend = backend }

  func accept(_ offloads: NetworkOffloads) { accepted.store(offloads.rawValue, ordering: .relaxed) }

  func connect(_ submit: @escaping @Sendable (DeviceInput) -> Int) throws {
    backend.onRoom { _ = submit(.networkRoom) }
    try backend.connect(
      accepted: { [self] in NetworkOffloads(rawValue: accepted.load(ordering: .relaxed)) },
      receive: { submit(.packet($0)) > 0 })
  }
}

private func littleEndian(_ bytes: ArraySlice<UInt8>) -> UInt64 {
  bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
}
