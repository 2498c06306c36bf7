public import MachineTypes

/// How much of something there may be in a second, and how much at once.
public struct RateLimit: Hashable, Sendable {
  /// In the long run; at least 1.
  public var perSecond: UInt64
  /// After a pause, and when the machine starts; at least 1.
  public var burst: UInt64

  /// - Parameter burst: `nil` for what comes in a tenth of a second.
  public init(perSecond: UInt64, burst: UInt64? = nil) {
    self.perSecond = max(1, perSecond)
    self.burst = max(1, burst ?? perSecond / 10)
  }
}

/// A token bucket: it holds `burst` tokens at first, and is filled at an even rate up to them.
///
/// What costs more than the bucket holds may go when it is full, and leaves a debt.
public struct TokenBucket: Hashable, Sendable {
  public let limit: RateLimit
  /// In billionths of a token; negative for a debt.
  private var level: Int128
  private var filledAt: VirtualInstant

  private static let scale: Int128 = 1_000_000_000

  public init(_ limit: RateLimit, at now: VirtualInstant) {
    // Which sees to the least that they may be.
    self.limit = RateLimit(perSecond: limit.perSecond, burst: limit.burst)
    level = Int128(self.limit.burst) * Self.scale
    filledAt = now
  }

  private mutating func fill(at now: VirtualInstant) {
    guard now > filledAt else { return }
    // More would not fit once it is multiplied, and fills any bucket.
    let elapsed = Int128(min(now.nanoseconds - filledAt.nanoseconds, 1 << 62))
    level = min(Int128(limit.burst) * Self.scale, level + elapsed * Int128(limit.perSecond))
    filledAt = now
  }

  /// When `count` tokens may be taken: not after `now` if at once.
  mutating func instant(of count: UInt64, at now: VirtualInstant) -> VirtualInstant {
    fill(at: now)
    let missing = Int128(min(count, limit.burst)) * Self.scale - level
    guard missing > 0 else { return now }
    let rate = Int128(limit.perSecond)
    return now.advanced(byNanoseconds: UInt64(clamping: (missing + rate - 1) / rate))
  }

  /// Takes tokens whether they are there or not.
  mutating func take(_ count: UInt64) { level -= Int128(count) * Self.scale }

  mutating func giveBack(_ count: UInt64) {
    level = min(Int128(limit.burst) * Self.scale, level + Int128(count) * Self.scale)
  }
}
