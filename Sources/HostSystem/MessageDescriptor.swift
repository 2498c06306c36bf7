private import CHost
private import Glibc

/// A descriptor that carries messages, one for each read or write, and never blocks: a TAP device, or a Unix
/// socket of sequenced packets.
public final class MessageDescriptor: Sendable {
  public let descriptor: Int32

  /// - Parameter descriptor: becomes this object's.
  init(adopting descriptor: Int32) { self.descriptor = descriptor }

  /// Opens a TAP device of the host's; each message begins with a `virtio_net_hdr` of 12 bytes.
  public convenience init(tapDevice name: String) throws(HostError) {
    let descriptor = unsafe chost_open_tap(name)
    guard descriptor >= 0 else { throw .current("TUNSETIFF") }
    self.init(adopting: descriptor)
  }

  /// Connects to a Unix socket of sequenced packets.
  public convenience init(connectingTo path: String) throws(HostError) {
    let descriptor = unsafe chost_unix_socket(path, 0, 0)
    guard descriptor >= 0 else { throw .current("connect") }
    self.init(adopting: descriptor)
  }

  deinit { close(descriptor) }

  /// What became of a message.
  public enum Outcome: Hashable, Sendable {
    case done
    /// It cannot be taken now.
    case full
    /// The other side is gone, or refuses this message.
    case failed
  }

  public func send(_ bytes: [UInt8]) -> Outcome {
    while true {
      // SAFETY: the pointer and count describe the same buffer, for the length of the call.
      let count = unsafe bytes.withUnsafeBytes {
        unsafe chost_send_message(descriptor, $0.baseAddress, UInt($0.count))
      }
      if count >= 0 { return .done }
      switch errno {
      case EINTR: continue
      case EAGAIN, ENOBUFS: return .full
      default: return .failed
      }
    }
  }

  /// The next message; empty if there is none, `nil` at the end.
  public func receive(atMost limit: Int) -> [UInt8]? {
    while true {
      var result = 0
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, initialized in
        // SAFETY: the buffer has room for `limit` bytes and `read` initializes `result` of them.
        result = unsafe read(descriptor, buffer.baseAddress, limit)
        initialized = max(0, result)
      }
      if result > 0 { return bytes }
      if result == 0 { return nil }
      switch errno {
      case EINTR: continue
      case EAGAIN: return []
      default: return nil
      }
    }
  }
}
