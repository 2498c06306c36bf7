import Foundation
import MachineTypes
import Synchronization

/// The host's monotonic time, for engines whose local APIC needs timers.
final class HostTestClock: MachineClock {
  private let start = DispatchTime.now().uptimeNanoseconds
  let wallClockAtStart: Int64 = 0

  var now: VirtualInstant {
    VirtualInstant(nanoseconds: DispatchTime.now().uptimeNanoseconds - start)
  }

  func makeTimer(_ handler: @escaping @Sendable () -> Void) -> any MachineTimer {
    HostTestTimer(start: start, handler)
  }
}

/// A timer on a queue of its own; a generation number outdates what was armed before.
final class HostTestTimer: MachineTimer {
  private let start: UInt64
  private let handler: @Sendable () -> Void
  private let generation = Mutex(0)
  private let queue = DispatchQueue(label: "conformance timer")

  init(start: UInt64, _ handler: @escaping @Sendable () -> Void) {
    self.start = start
    self.handler = handler
  }

  func arm(at deadline: VirtualInstant) {
    let mine = generation.withLock { number in
      number += 1
      return number
    }
    let (moment, overflow) = start.addingReportingOverflow(deadline.nanoseconds)
    guard !overflow else { return }
    queue.asyncAfter(deadline: DispatchTime(uptimeNanoseconds: moment)) { [weak self] in
      guard let self, self.generation.withLock({ $0 == mine }) else { return }
      self.handler()
    }
  }

  func disarm() { generation.withLock { $0 += 1 } }
}
