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

  /// Sends one message of two parts.
  public func send(_ header: [UInt8], _ body: [UInt8]) -> Outcome {
    while true {
      // SAFETY: each pointer and count describe the same buffer, for the length of the call.
      let count = unsafe header.withUnsafeBytes { first in
        unsafe body.withUnsafeBytes { second in
          unsafe chost_send_message(
            descriptor, first.baseAddress, UInt(first.count), second.baseAddress,
            UInt(second.count))
        }
      }
      if count >= 0 { return .done }
      switch errno {
      case EINTR: continue
      case EAGAIN, ENOBUFS: return .full
      default: return .failed
      }
    }
  }

  public func send(_ bytes: [UInt8]) -> Outcome { send([], bytes) }

  /// The next message, in two parts, the first as long as it is told if the message has so much; empty if there is
  /// none, `nil` at the end.
  public func receive(
    headerByteCount: Int, atMost limit: Int
  ) -> (header: [UInt8], body: [UInt8])? {
    while true {
      var result = 0
      var header = [UInt8](repeating: 0, count: headerByteCount)
      let body = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, initialized in
        unsafe header.withUnsafeMutableBytes { first in
          var parts = unsafe [
            iovec(iov_base: first.baseAddress, iov_len: first.count),
            iovec(iov_base: buffer.baseAddress, iov_len: limit),
          ]
          // SAFETY: both buffers have room for what their parts say; `readv` initializes `result` bytes of them, the
          // first part's first.
          result = unsafe readv(descriptor, &parts, 2)
        }
        initialized = max(0, result - headerByteCount)
      }
      if result > 0 { return (Array(header.prefix(result)), body) }
      if result == 0 { return nil }
      switch errno {
      case EINTR: continue
      case EAGAIN: return ([], [])
      default: return nil
      }
    }
  }

  /// The next message; empty if there is none, `nil` at the end.
  public func receive(atMost limit: Int) -> [UInt8]? {
    receive(headerByteCount: 0, atMost: limit)?.body
  }
}
