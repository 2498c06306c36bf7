private import CHost
private import Glibc

/// A Unix socket that takes connections.
public final class SocketListener: Sendable {
  public enum Kind: Sendable {
    /// Sequenced packets.
    case messages
    case bytes
  }

  public let descriptor: Int32
  private let path: String

  /// Makes the socket. One that nobody listens at any more is replaced.
  public init(path: String, _ kind: Kind = .messages) throws(HostError) {
    descriptor = unsafe chost_unix_socket(path, kind == .bytes ? 1 : 0, 1)
    guard descriptor >= 0 else { throw .current("bind") }
    self.path = path
  }

  deinit { close(descriptor) }

  /// Takes the socket's name away: nobody connects any more.
  public func remove() { unsafe unlink(path) }

  /// The next connection; `nil` if there is none, or no descriptor left for it.
  public func accept() -> MessageDescriptor? {
    let connection = chost_accept(descriptor)
    return connection >= 0 ? MessageDescriptor(adopting: connection) : nil
  }

  /// The same, of a socket of bytes.
  public func acceptStream() -> StreamDescriptor? { accept().map(StreamDescriptor.init) }
}
