public import MachineTypes
import Synchronization

/// A clock that stands still until it is advanced; timers fire in order on the way.
public final class FakeClock: MachineClock {
  private struct State: Sendable {
    var now = VirtualInstant.start
    var timers: [Timer] = []
  }

  public let wallClockAtStart: Int64
  private let state = Mutex(State())

  /// - Parameter wallClockAtStart: seconds since 1970; the default is 2024-02-29 12:34:56 UTC.
  public init(wallClockAtStart: Int64 = 1_709_210_096) {
    self.wallClockAtStart = wallClockAtStart
  }

  public var now: VirtualInstant { state.withLock { $0.now } }

  /// The earliest deadline of any timer.
  public var nextDeadline: VirtualInstant? {
    state.withLock { $0.timers.compactMap(\.deadline).min() }
  }

  public func makeTimer(_ handler: @escaping @Sendable () -> Void) -> any MachineTimer {
    let timer = Timer(handler)
    state.withLock { $0.timers.append(timer) }
    return timer
  }

  /// Advances and fires what comes due, each timer at its own deadline.
  public func advance(nanoseconds: UInt64) {
    let end = now.advanced(byNanoseconds: nanoseconds)
    while let timer = nextDue(by: end) { timer.handler() }
    state.withLock { $0.now = end }
  }

  public func advance(microseconds: UInt64) { advance(nanoseconds: microseconds * 1000) }
  public func advance(milliseconds: UInt64) { advance(nanoseconds: milliseconds * 1_000_000) }
  public func advance(seconds: UInt64) { advance(nanoseconds: seconds * 1_000_000_000) }

  /// Jumps ahead and only then fires what became due: a host that was busy elsewhere.
  public func jump(nanoseconds: UInt64) {
    state.withLock { $0.now = $0.now.advanced(byNanoseconds: nanoseconds) }
    while let timer = nextDue(by: now) { timer.handler() }
  }

  /// Jumps ahead and leaves what became due to a later call: the thread of the timers is late.
  public func skip(nanoseconds: UInt64) {
    state.withLock { $0.now = $0.now.advanced(byNanoseconds: nanoseconds) }
  }

  private func nextDue(by end: VirtualInstant) -> Timer? {
    state.withLock { state in
      let due = state.timers.filter { $0.deadline.map { $0 <= end } ?? false }
      guard let timer = due.min(by: { $0.deadline! < $1.deadline! }) else { return nil }
      state.now = max(state.now, timer.deadline!)
      timer.disarm()
      return timer
    }
  }

  private final class Timer: MachineTimer {
    let handler: @Sendable () -> Void
    private let armed = Mutex<VirtualInstant?>(nil)

    init(_ handler: @escaping @Sendable () -> Void) { self.handler = handler }

    var deadline: VirtualInstant? { armed.withLock { $0 } }
    func arm(at deadline: VirtualInstant) { armed.withLock { $0 = deadline } }
    func disarm() { armed.withLock { $0 = nil } }
  }
}
