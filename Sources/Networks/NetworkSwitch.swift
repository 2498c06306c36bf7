import DeviceModel
public import HostSystem

/// An Ethernet switch for machines of this host: each connects to its Unix socket. It learns which addresses
/// are behind which port, and sends what is for all, or for nobody known, to all others.
public final class NetworkSwitch: Sendable {
  private let listener: SocketListener
  private let wake: WakeDescriptor
  private let isStopping = Monitor(false)

  /// Listens at `path`.
  public init(path: String) throws(HostError) {
    listener = try SocketListener(path: path)
    wake = try WakeDescriptor()
  }

  /// Ends `run`, and takes the socket away. From any thread.
  public func stop() {
    isStopping.update { $0 = true }
    wake.signal()
  }

  /// Passes frames on until it is stopped.
  public func run() {
    defer { listener.remove() }
    var ports = SwitchPorts()
    var polls = PollSet()
    while !isStopping.withLock({ $0 }) {
      polls.removeAll()
      polls.add(wake.descriptor, .readable)
      polls.add(listener.descriptor, .readable)
      let numbers = ports.addAll(to: &polls)
      _ = polls.wait(milliseconds: nil)
      if !polls[1].isEmpty, let connection = listener.accept() { ports.add(connection) }
      for (place, number) in numbers {
        if polls[place].contains(.writable) { ports.flush(number) }
        if !polls[place].subtracting(.writable).isEmpty { ports.receive(from: number) }
      }
    }
  }
}

/// The ports of a switch, and what it learned.
private struct SwitchPorts {
  private struct Port {
    let connection: MessageDescriptor
    /// What the port could not take at once.
    var waiting: [[UInt8]] = []
  }

  private var ports: [Int: Port] = [:]
  private var nextNumber = 0
  /// The port of each station.
  private var stations: [[UInt8]: Int] = [:]

  private static let mostWaiting = 512
  private static let mostStations = 4096
  private static let mostPorts = 256

  mutating func add(_ connection: MessageDescriptor) {
    guard ports.count < Self.mostPorts else { return }
    ports[nextNumber] = Port(connection: connection)
    nextNumber += 1
  }

  /// Returns the places in `polls` and the numbers of the ports there.
  func addAll(to polls: inout PollSet) -> [(Int, Int)] {
    ports.map { number, port in
      let events: PollSet.Events = port.waiting.isEmpty ? .readable : [.readable, .writable]
      return (polls.add(port.connection.descriptor, events), number)
    }
  }

  mutating func receive(from number: Int) {
    for _ in 0..<64 {
      guard let port = ports[number] else { return }
      guard let message = port.connection.receive(atMost: MessageNetwork.mostBytes) else {
        remove(number)
        return
      }
      if message.isEmpty { return }
      if message.count >= NetworkHeader.byteCount + 14 { forward(message, from: number) }
    }
  }

  private mutating func forward(_ message: [UInt8], from number: Int) {
    let frame = message[NetworkHeader.byteCount...]
    let target = Array(frame.prefix(6))
    let source = Array(frame.dropFirst(6).prefix(6))
    if source[0] & 1 == 0, stations[source] != nil || stations.count < Self.mostStations {
      stations[source] = number
    }
    if target[0] & 1 == 0, let known = stations[target] {
      if known != number { send(message, to: known) }
      return
    }
    for other in ports.keys where other != number { send(message, to: other) }
  }

  private mutating func send(_ message: [UInt8], to number: Int) {
    guard var port = ports[number] else { return }
    if port.waiting.isEmpty, port.connection.send(message) != .full { return }
    // A full port loses frames, as those of switches do.
    guard port.waiting.count < Self.mostWaiting else { return }
    port.waiting.append(message)
    ports[number] = port
  }

  mutating func flush(_ number: Int) {
    guard var port = ports[number] else { return }
    let sent = port.waiting.firstIndex { port.connection.send($0) == .full } ?? port.waiting.count
    port.waiting.removeFirst(sent)
    ports[number] = port
  }

  private mutating func remove(_ number: Int) {
    ports[number] = nil
    stations = stations.filter { $0.value != number }
  }
}
