import HostSystem
import MachineTypes
import Synchronization

/// The machine's clock in real-time mode: the host's monotonic clock less the time the machine was
/// paused, with one thread that runs all timers.
///
/// It is made standing at `VirtualInstant.start`; `resume()` starts it.
final class RealTimeClock: MachineClock {
  let wallClockAtStart: Int64
  private let core: Core

  init() throws(HostError) {
    wallClockAtStart = HostClock.wallClockSeconds()
    let core = Core()
    self.core = core
    // The thread ends by itself soon after `shutDown()`.
    _ = try HostThread(name: "timers") { core.runTimers() }
  }

  deinit { core.shutDown() }

  var now: VirtualInstant { core.now }

  var wallClock: WallClockTime {
    let time = HostClock.wallClock()
    return WallClockTime(seconds: time.seconds, nanoseconds: time.nanoseconds)
  }

  func makeTimer(_ handler: @escaping @Sendable () -> Void) -> any MachineTimer {
    Timer(core: core, identifier: core.queue.withLock { $0.add(handler) })
  }

  /// Stops time. No timer fires until `resume()`.
  func pause() { core.pause() }

  func resume() { core.resume() }

  /// Ends all timers for good and lets go of their handlers. One that runs is not waited for.
  func shutDown() { core.shutDown() }
}

extension RealTimeClock {
  private final class Timer: MachineTimer {
    private let core: Core
    private let identifier: Int

    init(core: Core, identifier: Int) {
      self.core = core
      self.identifier = identifier
    }

    deinit { core.queue.withLock { $0.remove(identifier) } }

    func arm(at deadline: VirtualInstant) {
      if core.queue.withLock({ $0.arm(identifier, at: deadline) }) { core.queue.notify() }
    }

    func disarm() { core.queue.withLock { $0.disarm(identifier) } }
  }

  /// What the clock, its timers and its thread share.
  private final class Core: Sendable {
    /// CLOCK_MONOTONIC at `VirtualInstant.start`, moved on by every pause.
    private let origin = Atomic<UInt64>(0)
    /// The time shown while the clock stands, plus 1; 0 while it runs.
    private let standing = Atomic<UInt64>(1)
    let queue = Monitor(TimerQueue())

    var now: VirtualInstant {
      let standing = standing.load(ordering: .acquiring)
      if standing != 0 { return VirtualInstant(nanoseconds: standing &- 1) }
      let origin = origin.load(ordering: .relaxed)
      return VirtualInstant(nanoseconds: HostClock.monotonicNanoseconds() &- origin)
    }

    func pause() {
      queue.withLock { _ in
        guard standing.load(ordering: .relaxed) == 0 else { return }
        standing.store(now.nanoseconds &+ 1, ordering: .releasing)
      }
    }

    func resume() {
      queue.update { _ in
        let standing = standing.load(ordering: .relaxed)
        guard standing != 0 else { return }
        origin.store(HostClock.monotonicNanoseconds() &- (standing &- 1), ordering: .relaxed)
        self.standing.store(0, ordering: .releasing)
      }
    }

    func shutDown() { queue.update { $0.close() } }

    func runTimers() {
      while !queue.withLock({ $0.isClosed }) {
        if let handler = takeDueHandler() {
          handler()
        } else {
          queue.waitForUpdate { wakeTime(&$0) }
        }
      }
    }

    private func takeDueHandler() -> (@Sendable () -> Void)? {
      queue.withLock { queue in
        guard standing.load(ordering: .relaxed) == 0 else { return nil }
        return queue.takeDue(by: now)
      }
    }

    /// In CLOCK_MONOTONIC; called with the lock held.
    private func wakeTime(_ queue: inout TimerQueue) -> UInt64? {
      if queue.isClosed { return 0 }
      guard standing.load(ordering: .relaxed) == 0, let deadline = queue.nextDeadline() else {
        return nil
      }
      let (time, overflow) = origin.load(ordering: .relaxed)
        .addingReportingOverflow(deadline.nanoseconds)
      // A deadline beyond what the host can count (2⁶³ ns are 292 years) never comes.
      return overflow || time > UInt64(Int64.max) ? nil : time
    }
  }
}
