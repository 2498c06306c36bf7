private import CHost
private import Glibc

/// A connected Unix socket that carries bytes both ways, and never blocks.
public final class StreamDescriptor: Sendable {
  private let socket: MessageDescriptor

  init(_ socket: MessageDescriptor) { self.socket = socket }

  /// Connects to the socket at `path`. One whose queue is full counts as one that refuses.
  public convenience init(connectingTo path: String) throws(HostError) {
    let descriptor = unsafe chost_unix_socket(path, 1, 0)
    guard descriptor >= 0 else { throw .current("connect") }
    self.init(MessageDescriptor(adopting: descriptor))
  }

  public var descriptor: Int32 { socket.descriptor }

  /// Sends what can be sent now, and returns how much that was; `nil` if the other side takes no more.
  public func send(_ bytes: [UInt8]) -> Int? {
    while true {
      // SAFETY: the pointer and count describe the same buffer, for the length of the call.
      let count = unsafe bytes.withUnsafeBytes {
        unsafe chost_send_message(descriptor, nil, 0, $0.baseAddress, UInt($0.count))
      }
      if count >= 0 { return count }
      switch errno {
      case EINTR: continue
      case EAGAIN, ENOBUFS: return 0
      default: return nil
      }
    }
  }

  /// What is there; empty if there is nothing now, `nil` at the end.
  public func receive(atMost limit: Int) -> [UInt8]? { socket.receive(atMost: limit) }

  /// Says to the other side that nothing more is sent.
  public func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Says to the other side that nothing more is received.
  public func endReceiving() { shutdown(descriptor, Int32(SHUT_RD)) }
}
