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

  @Test func `a timer set while its predecessor fires is not lost`() {
    let fixture = APICFixture()
    let apic = fixture.apic
    _ = apic.write(Register.timerVector, 2 << 17 | 0x40)
    // One thread fires alarms, as the machine's event thread would; the other sets deadlines.
    let done = Counter()
    onThreads(2) { thread in
      if thread == 0 {
        while done.count == 0 { apic.timerFired() }
      } else {
        for deadline in UInt64(1_000)...6_000 { apic.setDeadline(deadline * 1_000_000) }
        done.increment()
      }
    }
    #expect(apic.readMSR(0x6E0) == 6_000_000_000)
    #expect(fixture.clock.nextDeadline == VirtualInstant(nanoseconds: 6_000_000_000))
  }
}
