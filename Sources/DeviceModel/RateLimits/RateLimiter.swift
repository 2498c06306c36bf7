public import MachineTypes

/// Limits of a disk, or of one direction of a network; `nil` for none.
public struct RateLimits: Hashable, Sendable {
  public var bytes: RateLimit?
  /// Requests, or packets.
  public var operations: RateLimit?

  public init(bytes: RateLimit? = nil, operations: RateLimit? = nil) {
    self.bytes = bytes
    self.operations = operations
  }

  public var isUnlimited: Bool { bytes == nil && operations == nil }
}

/// The token buckets of one `RateLimits`.
public struct RateLimiter: Sendable {
  private var bytes: TokenBucket?
  private var operations: TokenBucket?

  public init(_ limits: RateLimits, at now: VirtualInstant) {
    bytes = limits.bytes.map { TokenBucket($0, at: now) }
    operations = limits.operations.map { TokenBucket($0, at: now) }
  }

  /// Lets one operation of `byteCount` bytes through, or says when to ask again.
  public mutating func admit(_ byteCount: UInt64, at now: VirtualInstant) -> VirtualInstant? {
    let instant = max(
      bytes?.instant(of: byteCount, at: now) ?? now, operations?.instant(of: 1, at: now) ?? now)
    guard instant <= now else { return instant }
    bytes?.take(byteCount)
    operations?.take(1)
    return nil
  }

  /// An operation that was let through does not take place after all.
  public mutating func giveBack(_ byteCount: UInt64) {
    bytes?.giveBack(byteCount)
    operations?.giveBack(1)
  }
}
