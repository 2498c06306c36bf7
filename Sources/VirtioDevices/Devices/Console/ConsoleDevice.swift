public import DeviceModel
import GuestMemory

/// One port of a console device.
public struct ConsolePort: Sendable {
  /// What programs of the guest find it by, in /dev/virtio-ports; none for a terminal.
  public var name: String?
  /// The guest makes a terminal of it: hvc0, hvc1…
  public var isConsole: Bool
  public var sink: any ConsoleSink

  public init(name: String? = nil, isConsole: Bool, sink: any ConsoleSink) {
    self.name = name
    self.isConsole = isConsole
    self.sink = sink
  }
}

/// The console device (virtio 1.2 §5.3) with several ports.
public struct ConsoleDevice: VirtioDevice {
  private let ports: [ConsolePort]
  private var states: [PortState]
  private var isMultiport = false
  /// Messages for the driver that wait for room, in order.
  private var outgoing: [ConsoleMessage] = []

  private struct PortState: Sendable {
    /// A program of the guest uses it.
    var isOpen = false
    /// How much of the first buffer to be sent is done with.
    var position: UInt64 = 0
    /// Input was refused.
    var isStarved = false
    /// The driver knows the port.
    var isReady = false
    // Of the host, which a reset does not change.
    var isConnected = true
    var size: ConsoleSize?
  }

  private enum Feature {
    static let size: UInt64 = 1 << 0
    static let multiport: UInt64 = 1 << 1
    static let emergencyWrite: UInt64 = 1 << 2
  }

  private static let controlReceive = 2
  private static let controlTransmit = 3
  private static let queueSize: UInt16 = 128
  private static let emergencyOffset = 8
  private static let mostOutgoing = 256
  /// What is taken out of a buffer at a time.
  private static let mostBytes = 64 << 10

  /// As many ports as a function has interrupts for.
  public static let mostPorts = 32

  /// - Parameter ports: 1…`mostPorts`.
  public init(ports: [ConsolePort]) {
    precondition((1...Self.mostPorts).contains(ports.count))
    self.ports = ports
    states = Array(repeating: PortState(), count: ports.count)
  }

  public var deviceType: UInt16 { 3 }
  public var features: UInt64 { Feature.size | Feature.multiport | Feature.emergencyWrite }

  /// Two for each port, and two for messages between those of the first and of the second.
  public var queueSizes: [UInt16] {
    [Self.queueSize, Self.queueSize, 64, 64]
      + Array(repeating: Self.queueSize, count: 2 * (ports.count - 1))
  }

  /// `struct virtio_console_config` (§5.3.4).
  public var configuration: [UInt8] {
    (states[0].size ?? ConsoleSize(columns: 0, rows: 0)).bytes
      + [UInt8(ports.count), 0, 0, 0, 0, 0, 0, 0]
  }

  private static func receiveQueue(_ port: Int) -> Int { port == 0 ? 0 : 2 * port + 2 }
  private static func port(ofQueue queue: Int) -> Int { queue < 2 ? 0 : queue / 2 - 1 }

  // MARK: The driver

  public mutating func start(
    features: UInt64, _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    isMultiport = features & Feature.multiport != 0
    for port in ports { port.sink.inputRoomAvailable() }
  }

  public mutating func reset() {
    isMultiport = false
    outgoing = []
    for port in states.indices {
      let old = states[port]
      states[port] = PortState()
      states[port].isConnected = old.isConnected
      states[port].size = old.size
    }
  }

  public mutating func notify(
    _ queue: Int, _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    switch queue {
    case Self.controlReceive:
      let isBlocked = outgoing.count >= Self.mostOutgoing
      try flush(&queues)
      if isBlocked { try takeMessages(&queues) }
    case Self.controlTransmit: try takeMessages(&queues)
    case let queue where queue % 2 == 0: tellRoom(Self.port(ofQueue: queue))
    default: try send(Self.port(ofQueue: queue), &queues)
    }
  }

  /// The first port of a driver that knows of no others can be written to without queues.
  public mutating func writeConfiguration(_ value: UInt8, at offset: Int) {
    // A byte for which there is no room is lost: the kernel that writes it is about to die.
    if offset == Self.emergencyOffset { _ = ports[0].sink.write([value]) }
  }

  // MARK: Bytes

  private mutating func send(_ port: Int, _ queues: inout VirtioQueues) throws(VirtioError) {
    let queue = Self.receiveQueue(port) + 1
    // No more than the queue holds, so that this takes bounded time.
    for _ in 0..<Self.queueSize {
      guard let chain = try queues.next(queue) else { return }
      let rest = chain.readable.slice(from: states[port].position)
      let bytes = try queues.read(rest, limit: Self.mostBytes)
      let taken = ports[port].sink.write(bytes)
      states[port].position &+= UInt64(taken)
      if states[port].position >= chain.readable.byteCount {
        states[port].position = 0
        try queues.complete(chain, of: queue)
      } else {
        queues.putBack(chain, to: queue)
        // `consoleRoom` follows.
        if taken < bytes.count { return }
      }
    }
  }

  private mutating func deliver(
    _ bytes: [UInt8], to port: Int, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Int {
    var position = 0
    while position < bytes.count {
      guard states[port].isOpen || !isMultiport,
        let chain = try queues.next(Self.receiveQueue(port))
      else {
        states[port].isStarved = true
        break
      }
      guard chain.writable.byteCount > 0 else { throw .badRequest }
      let written = try queues.write(Array(bytes[position...]), to: chain.writable)
      try queues.complete(chain, of: Self.receiveQueue(port), written: UInt32(written))
      position += written
    }
    return position
  }

  private mutating func tellRoom(_ port: Int) {
    guard states[port].isStarved else { return }
    states[port].isStarved = false
    ports[port].sink.inputRoomAvailable()
  }

  // MARK: The host

  public mutating func receive(
    _ input: DeviceInput, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Int {
    switch input {
    case .console(let port, let bytes):
      guard let port = known(port) else { return bytes.count }
      return try deliver(bytes, to: port, &queues)
    case .consoleRoom(let port):
      if let port = known(port) { try send(port, &queues) }
    case .consoleSize(let port, _, _):
      guard let port = known(port) else { return 1 }
      note(input)
      if port == 0 { queues.configurationChanged = true }
      if isMultiport, states[port].isOpen { tellSize(port) }
      try flush(&queues)
    case .consoleConnection(let port, _):
      guard let port = known(port) else { return 1 }
      note(input)
      if states[port].isReady { tellConnection(port) }
      try flush(&queues)
    default: break
    }
    return 1
  }

  public mutating func dismiss(_ input: DeviceInput) -> Int {
    // What is typed early waits for the driver.
    if case .console = input { return 0 }
    note(input)
    return 1
  }

  /// Remembers what a reset does not change.
  private mutating func note(_ input: DeviceInput) {
    switch input {
    case .consoleSize(let port, let columns, let rows):
      if let port = known(port) { states[port].size = ConsoleSize(columns: columns, rows: rows) }
    case .consoleConnection(let port, let isConnected):
      if let port = known(port) { states[port].isConnected = isConnected }
    default: break
    }
  }

  private func known(_ port: UInt32) -> Int? {
    port < UInt32(ports.count) ? Int(port) : nil
  }

  // MARK: Messages

  private mutating func takeMessages(_ queues: inout VirtioQueues) throws(VirtioError) {
    for _ in 0..<queueSizes[Self.controlTransmit] {
      // The other queue's notification looks again.
      guard outgoing.count < Self.mostOutgoing,
        let chain = try queues.next(Self.controlTransmit)
      else { break }
      guard
        let message = ConsoleMessage(
          try queues.read(chain.readable, limit: ConsoleMessage.byteCount))
      else { throw .badRequest }
      answer(message)
      try queues.complete(chain, of: Self.controlTransmit)
    }
    try flush(&queues)
  }

  private mutating func answer(_ message: ConsoleMessage) {
    switch ConsoleMessage.Event(rawValue: message.event) {
    case .deviceReady where message.value == 1:
      outgoing += ports.indices.map { ConsoleMessage(port: UInt32($0), .portAdded) }
    case .portReady where message.value == 1:
      if let port = known(message.port) { introduce(port) }
    case .opened:
      guard let port = known(message.port) else { return }
      states[port].isOpen = message.value == 1
      guard states[port].isOpen else { return }
      tellSize(port)
      tellRoom(port)
    // What no driver sends, or one that could not use a port.
    default: break
    }
  }

  private mutating func introduce(_ port: Int) {
    let number = UInt32(port)
    if ports[port].isConsole {
      outgoing.append(ConsoleMessage(port: number, .isConsole, value: 1))
    }
    if let name = ports[port].name {
      outgoing.append(ConsoleMessage(port: number, .name, value: 1, data: Array(name.utf8)))
    }
    states[port].isReady = true
    tellConnection(port)
  }

  private mutating func tellConnection(_ port: Int) {
    say(ConsoleMessage(port: UInt32(port), .opened, value: states[port].isConnected ? 1 : 0))
  }

  private mutating func tellSize(_ port: Int) {
    guard ports[port].isConsole, let size = states[port].size else { return }
    say(ConsoleMessage(port: UInt32(port), .resized, data: size.bytes))
  }

  /// Sends a message of which only the last counts.
  private mutating func say(_ message: ConsoleMessage) {
    outgoing.removeAll { $0.port == message.port && $0.event == message.event }
    outgoing.append(message)
  }

  private mutating func flush(_ queues: inout VirtioQueues) throws(VirtioError) {
    while let message = outgoing.first, let chain = try queues.next(Self.controlReceive) {
      let bytes = message.bytes
      guard chain.writable.byteCount >= UInt64(bytes.count) else { throw .badRequest }
      try queues.write(bytes, to: chain.writable)
      try queues.complete(chain, of: Self.controlReceive, written: UInt32(bytes.count))
      outgoing.removeFirst()
    }
  }
}
