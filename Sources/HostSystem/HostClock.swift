private import Glibc

/// The host's clocks and its randomness. Only the machine's clock and entropy source may ask them.
public enum HostClock {
  /// CLOCK_MONOTONIC in nanoseconds.
  public static func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  /// CLOCK_REALTIME in whole seconds since 1970-01-01 00:00 UTC.
  public static func wallClockSeconds() -> Int64 { wallClock().seconds }

  /// CLOCK_REALTIME, in seconds and nanoseconds since 1970-01-01 00:00 UTC.
  public static func wallClock() -> (seconds: Int64, nanoseconds: UInt32) {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return (Int64(time.tv_sec), UInt32(time.tv_nsec))
  }
}

/// The host's random generator.
public enum HostRandomness {
  /// 64 bits from getrandom(2), which cannot fail for so few bytes once the host is up.
  public static func next() -> UInt64 {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }
}
