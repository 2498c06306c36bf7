/// A moment in the machine's time: nanoseconds since the machine was started, less the time it was
/// paused.
public struct VirtualInstant: Hashable, Comparable, Sendable {
  public var nanoseconds: UInt64

  @inlinable
  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  public static let start = VirtualInstant(nanoseconds: 0)
  public static let distantFuture = VirtualInstant(nanoseconds: .max)

  /// Saturates at `distantFuture`.
  @inlinable
  public func advanced(byNanoseconds count: UInt64) -> Self {
    let (sum, overflow) = nanoseconds.addingReportingOverflow(count)
    return overflow ? .distantFuture : Self(nanoseconds: sum)
  }

  @inlinable
  public static func < (a: Self, b: Self) -> Bool { a.nanoseconds < b.nanoseconds }
}

/// A time of day: seconds and nanoseconds since 1970-01-01 00:00 UTC.
public struct WallClockTime: Hashable, Sendable {
  public var seconds: Int64
  /// 0…999,999,999
  public var nanoseconds: UInt32

  public init(seconds: Int64, nanoseconds: UInt32) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }
}

/// The machine's only source of time for devices and engines.
public protocol MachineClock: AnyObject, Sendable {
  var now: VirtualInstant { get }

  /// The wall-clock time at `VirtualInstant.start`, in seconds since 1970-01-01 00:00 UTC.
  var wallClockAtStart: Int64 { get }

  /// The time of day outside the machine. A clock of the host's shows that, which pauses and corrections move away
  /// from `wallClockAtStart` and `now`; for any other clock it is their sum.
  var wallClock: WallClockTime { get }

  /// Makes a disarmed timer. `handler` runs on the machine's event thread and may arm timers, but
  /// must not block.
  func makeTimer(_ handler: @escaping @Sendable () -> Void) -> any MachineTimer
}

extension MachineClock {
  public var wallClock: WallClockTime {
    let (seconds, nanoseconds) = now.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return WallClockTime(
      seconds: wallClockAtStart &+ Int64(seconds), nanoseconds: UInt32(nanoseconds))
  }
}

/// A one-shot timer on the machine's clock. Safe to use from any thread.
public protocol MachineTimer: AnyObject, Sendable {
  /// Fires once, at or soon after `deadline`; replaces an earlier deadline.
  func arm(at deadline: VirtualInstant)
  /// A handler already running is not waited for.
  func disarm()
}

/// The machine's only source of randomness.
public protocol EntropySource: AnyObject, Sendable {
  func next() -> UInt64
}
