private import Glibc

/// A system call that the host refused.
public struct HostError: Error, Hashable, Sendable {
  public var call: String
  public var errno: Int32

  public init(call: String, errno: Int32) {
    self.call = call
    self.errno = errno
  }

  /// The failure of `call` that just set this thread's `errno`.
  public static func current(_ call: String) -> HostError {
    HostError(call: call, errno: Glibc.errno)
  }
}

extension HostError: CustomStringConvertible {
  public var description: String {
    let text = unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "errno \(errno)"
    return "\(call): \(text)"
  }
}

extension HostError {
  /// The disk or the quota is full.
  public var isOutOfSpace: Bool { errno == ENOSPC || errno == EDQUOT }
  /// Another process has locked the file.
  public var isLocked: Bool { errno == EAGAIN || errno == EACCES && call == "fcntl" }
}
