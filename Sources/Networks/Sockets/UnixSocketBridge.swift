public import DeviceModel
public import HostSystem

/// Joins a guest's vsock to Unix sockets of the host, by Firecracker's convention. At the bridge's own socket
/// somebody of the host says `CONNECT <port>` and a newline, and hears `OK <host port>` when the guest takes
/// the connection; the guest reaches the socket `<path>_<port>`.
public final class UnixSocketBridge: SocketBackend {
  struct Control: Sendable {
    var thread: HostThread?
    var isStopping = false
    var isGuestReady = false
    var sockets: [SocketConnection: BridgedSocket] = [:]
    /// Connections that the guest wants, in order.
    var wanted: [SocketConnection] = []
    var nextNumber: UInt64 = 0
  }

  let path: String
  let listener: SocketListener
  let wake: WakeDescriptor
  let control = Monitor(Control())

  static let mostSockets = 1024
  static let mostBytes = 64 << 10

  /// Listens at `path`; what was left there by a process that is gone is replaced.
  public init(path: String) throws(HostError) {
    listener = try SocketListener(path: path, .bytes)
    wake = try WakeDescriptor()
    self.path = path
  }

  public func connect(submit: @escaping @Sendable (SocketEvent) -> Int) throws {
    let thread = try HostThread(name: "vsock") { [weak self] in self?.run(submit) }
    control.withLock { $0.thread = thread }
  }

  public func start() { control.withLock { $0.isGuestReady = true } }

  public func open(_ connection: SocketConnection, port: UInt32) {
    control.withLock {
      $0.sockets[connection] = BridgedSocket(.opening(port: port), nil)
      $0.wanted.append(connection)
    }
    wake.signal()
  }

  public func accept(_ connection: SocketConnection, hostPort: UInt32) {
    change(connection) {
      $0.phase = .established
      $0.output = Array("OK \(hostPort)\n".utf8)
      $0.greetingByteCount = $0.output.count
    }
  }

  public func send(_ bytes: [UInt8], on connection: SocketConnection) {
    change(connection) { $0.output += bytes }
  }

  public func finish(_ connection: SocketConnection, _ directions: SocketDirections) {
    change(connection) {
      if directions.contains(.sending) { $0.endsOutput = true }
      if directions.contains(.receiving), !$0.isInputOver {
        $0.isInputOver = true
        $0.input = []
        $0.stream?.endReceiving()
      }
    }
  }

  public func resume(_ connection: SocketConnection?) {
    control.withLock { control in
      for number in connection.map({ [$0] }) ?? Array(control.sockets.keys) {
        control.sockets[number]?.isHeldBack = false
        control.sockets[number]?.resumptions &+= 1
      }
    }
    wake.signal()
  }

  public func drop(_ connection: SocketConnection) {
    let isKnown = control.withLock { control in
      // A guest that begins connections and gives them up must not pile them up.
      control.wanted.removeAll { $0 == connection }
      return control.sockets.removeValue(forKey: connection) != nil
    }
    if isKnown { wake.signal() }
  }

  public func reset() {
    control.withLock {
      $0.isGuestReady = false
      $0.sockets = [:]
      $0.wanted = []
    }
    wake.signal()
  }

  public func disconnect() {
    let thread = control.withLock { control in
      control.isStopping = true
      control.sockets = [:]
      return control.thread.take()
    }
    wake.signal()
    thread?.join()
    listener.remove()
  }

  private func change(
    _ connection: SocketConnection, _ body: (inout BridgedSocket) -> Void
  ) {
    control.withLock { control in
      guard var socket = control.sockets[connection] else { return }
      body(&socket)
      control.sockets[connection] = socket
    }
    wake.signal()
  }
}
