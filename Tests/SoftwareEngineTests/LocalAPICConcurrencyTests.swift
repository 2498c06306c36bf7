import Foundation
import MachineTypes
import MartletTesting
import Synchronization
import Testing

@testable import SoftwareEngine

private final class Counter: Sendable {
  private let value = Atomic<Int>(0)
  var count: Int { value.load(ordering: .acquiring) }
  func increment() { value.add(1, ordering: .acquiringAndReleasing) }
}

/// Runs `body` on so many threads at once and waits for all.
private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let finished = DispatchSemaphore(value: 0)
  for number in 0..<count {
    Thread.detachNewThread {
      body(number)
      finished.signal()
    }
  }
  for _ in 0..<count { finished.wait() }
}

@Suite struct LocalAPICConcurrencyTests {
  @Test func `two threads post while one acknowledges, and nothing is lost`() {
    let fixture = APICFixture(count: 3)
    let apic = fixture.apic
    let roundCount = 4000
    // Each poster waits for its vector to be taken before it posts it again, so that every post counts.
    let vectors: [UInt8] = [0x31, 0x52]
    let taken = [Counter(), Counter()]
    let total = roundCount * 2
    onThreads(3) { thread in
      if thread < 2 {
        for round in 0..<roundCount {
          if thread == 0 {
            fixture.deliver(vectors[0], to: 0)
          } else {
            _ = fixture.apics[1].write(Register.commandHigh, 0)
            _ = fixture.apics[1].write(Register.commandLow, UInt32(vectors[1]))
          }
          while taken[thread].count <= round { sched_yield() }
        }
      } else {
        var count = 0
        while count < total {
          guard let vector = apic.deliverableVector() else {
            sched_yield()
            continue
          }
          apic.acknowledge(vector)
          _ = apic.write(Register.endOfInterrupt, 0)
          count += 1
          taken[vector == vectors[0] ? 0 : 1].increment()
        }
      }
    }
    #expect(taken[0].count == roundCount)
    #expect(taken[1].count == roundCount)
    #expect(apic.deliverableVector() == nil)
  }

  @Test func `a deadline set while the alarm is being switched off is not lost`() {
    let clock = SlowClock()
    let apic = LocalAPIC(index: .bootstrap, clock: clock, bus: APICBus())
    _ = apic.write(Register.spurious, 0x1FF)
    _ = apic.write(Register.timerVector, 2 << 17 | 0x40)
    clock.timer.isSlow.store(true, ordering: .releasing)
    // The event thread found no deadline and disarms; meanwhile the guest sets one.
    onThreads(2) { thread in
      if thread == 0 {
        apic.timerFired()
      } else {
        clock.timer.disarming.wait()
        apic.setDeadline(5_000_000)
      }
    }
    #expect(clock.timer.deadline.load(ordering: .acquiring) == 5_000_000)
  }
}

/// A clock whose timer takes its time to disarm and says so.
private final class SlowClock: MachineClock {
  final class SlowTimer: MachineTimer {
    /// 0 when disarmed.
    let deadline = Atomic<UInt64>(0)
    let isSlow = Atomic<Bool>(false)
    let disarming = DispatchSemaphore(value: 0)

    func arm(at deadline: VirtualInstant) {
      self.deadline.store(deadline.nanoseconds, ordering: .releasing)
    }

    func disarm() {
      if isSlow.load(ordering: .acquiring) {
        disarming.signal()
        Thread.sleep(forTimeInterval: 0.05)
      }
      deadline.store(0, ordering: .releasing)
    }
  }

  let timer = SlowTimer()
  let wallClockAtStart: Int64 = 0
  let now = VirtualInstant.start
  func makeTimer(_ handler: @escaping @Sendable () -> Void) -> any MachineTimer { timer }
}
