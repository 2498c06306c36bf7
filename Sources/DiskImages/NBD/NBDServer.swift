/// What a remote disk is reached at.
public enum NBDServer: Hashable, Sendable {
  /// An address as the NBD protocol's specification of URIs has it: `nbd://HOST[:PORT]/EXPORT` or
  /// `nbd+unix:///EXPORT?socket=PATH`; `nbds` in place of `nbd` for TLS.
  case address(String)
  /// A server that is started for this one disk and ends with it: its program and arguments. It is given a
  /// socket that listens as systemd does it (LISTEN_FDS).
  case command([String])

  /// The schemes of addresses.
  public static let schemes: Set<String> = ["nbd", "nbds", "nbd+unix", "nbds+unix"]
}

extension NBDServer: CustomStringConvertible {
  public var description: String {
    switch self {
    case .address(let address): address
    case .command(let words): words.first ?? ""
    }
  }
}

/// What a server says of a disk.
public struct NBDExport: Hashable, Sendable {
  /// In bytes.
  public var byteCount: UInt64
  public var isReadOnly: Bool
  public var canFlush: Bool
  public var canWriteDurably: Bool
  public var canTrim: Bool
  public var canZero: Bool
  /// What one connection has flushed is durable for all.
  public var canConnectOften: Bool
  /// What requests are multiples of.
  public var minimumByteCount: UInt32
  public var preferredByteCount: UInt32
  /// Of one request.
  public var maximumByteCount: UInt32
}

/// Why a remote disk cannot be had.
public struct NBDError: Error, Hashable, Sendable {
  public var server: NBDServer
  public var reason: String

  public init(server: NBDServer, reason: String) {
    self.server = server
    self.reason = reason
  }
}

extension NBDError: CustomStringConvertible {
  public var description: String {
    switch server {
    case .address(let address):
      "no disk can be had from \(address) (\(reason)): check that its NBD server runs and has this export"
    case .command(let words):
      "\(words.first ?? "") does not serve the disk (\(reason)); it says why on standard error"
    }
  }
}

/// What happens to the connection to a remote disk while a machine runs.
public enum NBDEvent: Hashable, Sendable {
  /// Requests fail until it is back.
  case disconnected(NBDServer, reason: String)
  case cannotReconnect(NBDServer, reason: String, nextAttemptInSeconds: UInt32)
  case reconnected(NBDServer)
}

extension NBDEvent: CustomStringConvertible {
  public var description: String {
    switch self {
    case .disconnected(let server, let reason):
      "the connection to the disk \(server) is lost (\(reason)): the guest gets I/O errors until it is back"
    case .cannotReconnect(let server, let reason, let seconds):
      "the disk \(server) cannot be reached (\(reason)): next attempt in \(seconds) s"
    case .reconnected(let server): "the disk \(server) is back"
    }
  }
}
