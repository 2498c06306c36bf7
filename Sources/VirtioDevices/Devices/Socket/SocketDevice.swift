public import DeviceModel
import GuestMemory

/// The socket device (virtio 1.2 §5.10), vsock: stream connections between the guest and a `SocketBackend`.
public struct SocketDevice: VirtioDevice {
  let backend: any SocketBackend
  let guestCID: UInt64
  var connections: [SocketConnection: GuestConnection] = [:]
  var numbers: [SocketPorts: SocketConnection] = [:]
  /// What waits for room in the receive queue, in order.
  var outgoing: [Outgoing] = []
  /// The host's data did not all find room.
  var isStarved = false
  /// Events for the event queue: the one that there is, a reset of the transport.
  var hasTransportReset = false
  // Never used again, not even after a reset: what comes late must not be taken for something new.
  var nextNumber: UInt64 = 0
  var nextHostPort = firstHostPort

  enum Outgoing: Sendable {
    case refusal(SocketHeader)
    /// Whatever is due on it then; nothing if it is no more.
    case connection(SocketConnection)

    func isOf(_ number: SocketConnection) -> Bool {
      if case .connection(number) = self { true } else { false }
    }
  }

  enum Queue {
    static let receive = 0
    static let transmit = 1
    static let event = 2
  }

  public static let hostCID: UInt64 = 2
  /// The addresses that a guest can have.
  public static let guestCIDs: ClosedRange<UInt32> = 3...0xFFFF_FFFE
  /// Ports of the host for connections that it begins, as Firecracker numbers them.
  static let firstHostPort: UInt32 = 1 << 30
  static let mostConnections = 1024
  /// With more than that to be sent, the guest's packets wait.
  static let mostOutgoing = 2048
  static let mostDataBytes: UInt32 = 64 << 10

  /// - Parameter guestCID: one of `guestCIDs`.
  public init(_ backend: any SocketBackend, guestCID: UInt32) {
    self.backend = backend
    self.guestCID = UInt64(guestCID)
  }

  /// Starts to listen; `submit` hands what comes to the machine's input gate.
  public func connect(submit: @escaping @Sendable (DeviceInput) -> Int) throws {
    try backend.connect { submit(.socket($0)) }
  }

  public var deviceType: UInt16 { 19 }
  /// VIRTIO_VSOCK_F_STREAM
  public var features: UInt64 { 1 << 0 }
  public var queueSizes: [UInt16] { [256, 256, 16] }
  /// `struct virtio_vsock_config` (§5.10.4).
  public var configuration: [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: guestCID >> UInt64(8 * $0)) }
  }

  public mutating func start(
    features: UInt64, _ queues: inout VirtioQueues
  ) throws(VirtioError) { backend.start() }

  public mutating func reset() {
    backend.reset()
    connections = [:]
    numbers = [:]
    outgoing = []
    isStarved = false
    hasTransportReset = false
  }

  public mutating func notify(
    _ queue: Int, _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    switch queue {
    case Queue.event: try tellTransportReset(&queues)
    case Queue.transmit: try takePackets(&queues)
    default:
      let isBlocked = outgoing.count >= Self.mostOutgoing
      if try flush(&queues), isStarved {
        isStarved = false
        backend.resume(nil)
      }
      if isBlocked { try takePackets(&queues) }
    }
  }

  // MARK: To the guest

  /// Sends what is due; `false` if there is no room for all of it.
  mutating func flush(_ queues: inout VirtioQueues) throws(VirtioError) -> Bool {
    var done = 0
    defer { outgoing.removeFirst(done) }
    while done < outgoing.count {
      switch outgoing[done] {
      case .refusal(let header):
        guard try send(header, &queues) else { return false }
      case .connection(let number):
        while var connection = connections[number],
          let header = connection.takeDue(to: guestCID)
        {
          guard try send(header, &queues) else { return false }
          connections[number] = connection
        }
      }
      done += 1
    }
    return true
  }

  private func send(
    _ header: SocketHeader, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Bool {
    guard let chain = try queues.next(Queue.receive) else { return false }
    try fill(chain, header, [], &queues)
    return true
  }

  private func fill(
    _ chain: DescriptorChain, _ header: SocketHeader, _ data: [UInt8],
    _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    let bytes = header.bytes + data
    guard chain.writable.byteCount >= UInt64(bytes.count) else { throw .badRequest }
    try queues.write(bytes, to: chain.writable)
    try queues.complete(chain, of: Queue.receive, written: UInt32(bytes.count))
  }

  /// Hands the host's data to the guest, as far as there is room and credit; returns how much that was.
  mutating func deliver(
    _ bytes: [UInt8], _ number: SocketConnection, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Int {
    guard let known = connections[number], !known.guestEnded.contains(.receiving) else {
      return bytes.count
    }
    guard try flush(&queues) else {
      isStarved = true
      return 0
    }
    guard var connection = connections[number], connection.phase == .established else { return 0 }
    defer { connections[number] = connection }
    var position = 0
    while position < bytes.count {
      guard connection.credit > 0 else {
        if !connection.isOutOfCredit {
          connection.isOutOfCredit = true
          connection.due.insert(.creditRequest)
          outgoing.append(.connection(number))
        }
        break
      }
      guard let chain = try queues.next(Queue.receive) else {
        isStarved = true
        break
      }
      guard chain.writable.byteCount > UInt64(SocketHeader.byteCount) else { throw .badRequest }
      let room = min(
        chain.writable.byteCount - UInt64(SocketHeader.byteCount), UInt64(Self.mostDataBytes))
      let count = min(Int(room), Int(connection.credit), bytes.count - position)
      var header = connection.header(.readWrite, to: guestCID)
      header.dataByteCount = UInt32(count)
      connection.send(UInt32(count))
      try fill(chain, header, Array(bytes[position..<position + count]), &queues)
      position += count
    }
    return position
  }

  private mutating func tellTransportReset(
    _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    guard hasTransportReset, let chain = try queues.next(Queue.event) else { return }
    // `struct virtio_vsock_event`: VIRTIO_VSOCK_EVENT_TRANSPORT_RESET.
    guard chain.writable.byteCount >= 4 else { throw .badRequest }
    try queues.write([0, 0, 0, 0], to: chain.writable)
    try queues.complete(chain, of: Queue.event, written: 4)
    hasTransportReset = false
  }

  // MARK: From the host

  public mutating func receive(
    _ input: DeviceInput, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Int {
    guard case .socket(let event) = input else { return 1 }
    var taken = 1
    switch event {
    case .connect(let number, let port): begin(number, guestPort: port)
    case .opened(let number):
      change(number) {
        $0.phase = .established
        $0.due.insert(.response)
      }
    case .refused(let number): remove(number, tellsGuest: true)
    case .received(let number, let bytes): taken = try deliver(bytes, number, &queues)
    case .sent(let number, let byteCount): change(number) { $0.forward(byteCount) }
    case .ended(let number, let directions): end(number, directions)
    case .transportReset:
      for number in connections.keys { backend.drop(number) }
      connections = [:]
      numbers = [:]
      outgoing = []
      hasTransportReset = true
      try tellTransportReset(&queues)
    }
    _ = try flush(&queues)
    return taken
  }

  public mutating func dismiss(_ input: DeviceInput) -> Int {
    guard case .socket(let event) = input else { return 1 }
    switch event {
    case .connect(let number, _): backend.drop(number)
    case .received(_, let bytes): return bytes.count
    default: break
    }
    return 1
  }

  /// The host wants to be connected to a port of the guest.
  private mutating func begin(_ number: SocketConnection, guestPort: UInt32) {
    guard connections.count < Self.mostConnections, outgoing.count < Self.mostOutgoing else {
      backend.drop(number)
      return
    }
    var ports = SocketPorts(host: nextHostPort, guest: guestPort)
    // One of so many must be free.
    while numbers[ports] != nil { ports.host = Self.hostPort(after: ports.host) }
    nextHostPort = Self.hostPort(after: ports.host)
    add(number, GuestConnection(ports, .offered))
    change(number) { $0.due.insert(.request) }
  }

  private static func hostPort(after port: UInt32) -> UInt32 {
    port >= 0x7FFF_FFFF ? firstHostPort : port + 1
  }

  private mutating func end(_ number: SocketConnection, _ directions: SocketDirections) {
    guard let connection = connections[number] else { return }
    guard connection.phase == .established else {
      remove(number, tellsGuest: true)
      return
    }
    change(number) {
      $0.hostEnded.formUnion(directions)
      $0.due.insert(.shutdown)
    }
    if connections[number]?.isOver == true { remove(number, tellsGuest: true) }
  }

  // MARK: Connections

  mutating func add(_ number: SocketConnection, _ connection: GuestConnection) {
    connections[number] = connection
    numbers[connection.ports] = number
  }

  /// Changes a connection that may be there, and sees to it that what became due is sent.
  mutating func change(_ number: SocketConnection, _ body: (inout GuestConnection) -> Void) {
    guard var connection = connections[number] else { return }
    let wasDue = !connection.due.isEmpty
    body(&connection)
    connections[number] = connection
    if !wasDue, !connection.due.isEmpty { outgoing.append(.connection(number)) }
  }

  /// Ends a connection that may be there.
  mutating func remove(_ number: SocketConnection, tellsGuest: Bool) {
    guard var connection = connections.removeValue(forKey: number) else { return }
    numbers[connection.ports] = nil
    backend.drop(number)
    // A guest that was not asked yet need not know.
    if connection.due.contains(.request) {
      outgoing.removeAll { $0.isOf(number) }
    } else if tellsGuest {
      outgoing.append(.refusal(connection.header(.reset, to: guestCID)))
    }
  }
}
