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

/// The machine's only source of time for devices and engines.
public protocol MachineClock: AnyObject, Sendable {
  var now: VirtualInstant { get }

  /// The wall-clock time at `VirtualInstant.start`, in seconds since 1970-01-01 00:00 UTC.
  var wallClockAtStart: Int64 { get }

  /// Makes a disarmed timer. `handler` runs on the machine's event thread and may arm timers, but
  /// must not block.
  func makeTimer(_ handler: @escaping @Sendable () -> Void) -> any MachineTimer
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
