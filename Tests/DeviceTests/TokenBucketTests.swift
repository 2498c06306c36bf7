import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@testable import DeviceModel

@Suite struct TokenBucketTests {
  private func seconds(_ count: UInt64) -> VirtualInstant {
    VirtualInstant(nanoseconds: count * 1_000_000_000)
  }

  @Test func `a burst goes at once, and the rest at the rate`() {
    var limiter = RateLimiter(
      RateLimits(bytes: RateLimit(perSecond: 1000, burst: 4000)), at: .start)
    for _ in 0..<4 { #expect(limiter.admit(1000, at: .start) == nil) }
    #expect(limiter.admit(1000, at: .start) == seconds(1))
    let early = VirtualInstant(nanoseconds: 999_999_999)
    #expect(limiter.admit(1000, at: early) == seconds(1))
    #expect(limiter.admit(1000, at: seconds(1)) == nil)
    #expect(limiter.admit(1000, at: seconds(1)) == seconds(2))
    // A pause fills the bucket, and no more.
    for _ in 0..<4 { #expect(limiter.admit(1000, at: seconds(100)) == nil) }
    #expect(limiter.admit(1, at: seconds(100)) != nil)
  }

  @Test func `what is larger than the bucket leaves a debt`() {
    var limiter = RateLimiter(
      RateLimits(bytes: RateLimit(perSecond: 1000, burst: 1000)), at: .start)
    #expect(limiter.admit(5000, at: .start) == nil)
    #expect(limiter.admit(1000, at: .start) == seconds(5))
    #expect(limiter.admit(5000, at: seconds(5)) == nil)
  }

  @Test func `both limits hold`() {
    var limiter = RateLimiter(
      RateLimits(
        bytes: RateLimit(perSecond: 1000, burst: 1000),
        operations: RateLimit(perSecond: 1, burst: 2)), at: .start)
    #expect(limiter.admit(100, at: .start) == nil)
    #expect(limiter.admit(100, at: .start) == nil)
    #expect(limiter.admit(100, at: .start) == seconds(1))
    limiter.giveBack(100)
    #expect(limiter.admit(100, at: .start) == nil)
  }

  /// Nothing is lost in rounding, whatever the steps of the clock are.
  @Test(arguments: [UInt64(1), 7, 999, 1_000_003, 123_456_789_012])
  func `the long run is exact`(rate: UInt64) {
    let clock = FakeClock()
    var limiter = RateLimiter(
      RateLimits(operations: RateLimit(perSecond: rate, burst: 1)), at: clock.now)
    #expect(limiter.admit(0, at: clock.now) == nil)
    var count: UInt64 = 0
    while count < 2000 {
      guard let instant = limiter.admit(0, at: clock.now) else {
        count += 1
        continue
      }
      #expect(instant > clock.now)
      clock.advance(nanoseconds: instant.nanoseconds - clock.now.nanoseconds)
    }
    let exact = UInt64(Double(count) / Double(rate) * 1e9)
    let elapsed = clock.now.nanoseconds
    #expect(elapsed + 1 >= exact && elapsed <= exact + 2000)
    if rate < 1_000_000 { #expect(elapsed <= exact + 1 + exact / 1_000_000) }
  }

  @Test func `the largest numbers do no harm`() {
    var limiter = RateLimiter(
      RateLimits(
        bytes: RateLimit(perSecond: .max, burst: .max), operations: RateLimit(perSecond: 0)),
      at: .start)
    #expect(limiter.admit(.max, at: .start) == nil)
    #expect(limiter.admit(.max, at: .start) != nil)
    #expect(limiter.admit(.max, at: .distantFuture) == nil)
    var limits = RateLimit(perSecond: 5)
    limits.perSecond = 0
    var stopped = RateLimiter(RateLimits(bytes: limits), at: .start)
    _ = stopped.admit(.max, at: .start)
    #expect(stopped.admit(.max, at: .start) == .distantFuture)
  }
}
