/// A connection between a socket of the guest's and one of the host's, by a number that comes once only.
public struct SocketConnection: RawRepresentable, Hashable, Codable, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The guest began it.
  public init(fromGuest number: UInt64) { rawValue = number &* 2 }
  /// The host began it.
  public init(fromHost number: UInt64) { rawValue = number &* 2 &+ 1 }
}

/// What one side of a connection does no more.
public struct SocketDirections: OptionSet, Hashable, Codable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let receiving = SocketDirections(rawValue: 1 << 0)
  public static let sending = SocketDirections(rawValue: 1 << 1)
  public static let both: SocketDirections = [.receiving, .sending]
}

/// What reaches a socket device from the host's sockets.
public enum SocketEvent: Hashable, Codable, Sendable {
  /// Somebody wants to be connected to this port of the guest.
  case connect(SocketConnection, port: UInt32)
  /// What the guest wanted to be connected to takes the connection.
  case opened(SocketConnection)
  /// There is nobody who does.
  case refused(SocketConnection)
  case received(SocketConnection, bytes: [UInt8])
  /// The host took so much of what the guest sent.
  case sent(SocketConnection, byteCount: UInt32)
  /// What the host does no more, after all that it did. With both the connection is over for the backend.
  case ended(SocketConnection, SocketDirections)
  /// All connections were lost, as after a move to another host.
  case transportReset
}

/// The host's sockets behind a socket device. From any thread.
///
/// All that happens is told by events, none of which come from within one of these calls, whose caller
/// may hold locks.
public protocol SocketBackend: AnyObject, Sendable {
  /// Starts to work.
  ///
  /// - Parameter submit: hands in an event and returns how much of it was taken: bytes, or 1. What was not taken
  ///   is kept until `resume`.
  func connect(submit: @escaping @Sendable (SocketEvent) -> Int) throws

  /// The guest's driver is there: connections may come.
  func start()

  /// The guest connects to a port of the host: `opened` or `refused` follows.
  func open(_ connection: SocketConnection, port: UInt32)

  /// The guest took a connection that the host began.
  ///
  /// - Parameter hostPort: the port of the host that the guest sees.
  func accept(_ connection: SocketConnection, hostPort: UInt32)

  /// Takes bytes for the host: no more than the device promised the guest room for. `sent` follows.
  func send(_ bytes: [UInt8], on connection: SocketConnection)

  /// The guest does this no more; what it sent before still arrives.
  func finish(_ connection: SocketConnection, _ directions: SocketDirections)

  /// The device takes bytes again after it did not.
  ///
  /// - Parameter connection: `nil` for all.
  func resume(_ connection: SocketConnection?)

  /// Ends a connection at once. What is not known is ignored.
  func drop(_ connection: SocketConnection)

  /// The guest's driver has gone, and all connections with it.
  func reset()

  /// Ends everything and waits for the backend's threads. Once.
  func disconnect()
}
