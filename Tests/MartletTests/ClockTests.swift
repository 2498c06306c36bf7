import MachineTypes
import Synchronization
import Testing

@testable import HostSystem
@testable import Martlet

@Suite struct TimerQueueTests {
  /// Takes all that is due, and returns the names in order.
  private func drain(
    _ queue: inout TimerQueue, by now: UInt64, _ fired: borrowing Mutex<[Int]>
  ) -> [Int] {
    fired.withLock { $0 = [] }
    while let handler = queue.takeDue(by: VirtualInstant(nanoseconds: now)) { handler() }
    return fired.withLock { $0 }
  }

  private final class Fired: Sendable { let names = Mutex<[Int]>([]) }

  @Test func `timers fire in the order of their deadlines, then of arming`() {
    var queue = TimerQueue()
    let fired = Fired()
    let timers = (0..<100).map { name in
      queue.add { fired.names.withLock { $0.append(name) } }
    }
    for (name, timer) in timers.enumerated() {
      _ = queue.arm(timer, at: VirtualInstant(nanoseconds: UInt64((name * 37) % 10)))
    }
    let expected = (0..<100).sorted { a, b in
      ((a * 37) % 10, a) < ((b * 37) % 10, b)
    }
    let order = drain(&queue, by: 9, fired.names)
    let next = queue.nextDeadline()
    #expect(order == expected)
    #expect(next == nil)
  }

  @Test func `arming again replaces the deadline and disarming removes it`() {
    var queue = TimerQueue()
    let fired = Fired()
    let moved = queue.add { fired.names.withLock { $0.append(1) } }
    let disarmed = queue.add { fired.names.withLock { $0.append(2) } }
    _ = queue.arm(moved, at: VirtualInstant(nanoseconds: 5))
    _ = queue.arm(disarmed, at: VirtualInstant(nanoseconds: 6))
    _ = queue.arm(moved, at: VirtualInstant(nanoseconds: 50))
    queue.disarm(disarmed)
    let early = drain(&queue, by: 49, fired.names)
    let next = queue.nextDeadline()
    #expect(early == [])
    #expect(next == VirtualInstant(nanoseconds: 50))
    let due = drain(&queue, by: 50, fired.names)
    let late = drain(&queue, by: 500, fired.names)
    #expect(due == [1])
    #expect(late == [])
  }

  @Test func `only the timer that is first to be due wakes the event thread`() {
    var queue = TimerQueue()
    let a = queue.add {}
    let b = queue.add {}
    let isFirst = [(a, 10), (b, 11), (b, 9)].map { timer, nanoseconds in
      queue.arm(timer, at: VirtualInstant(nanoseconds: nanoseconds))
    }
    #expect(isFirst == [true, false, true])
  }

  @Test func `a closed queue takes no timers`() {
    var queue = TimerQueue()
    let timer = queue.add {}
    queue.close()
    let isFirst = queue.arm(timer, at: .start)
    let next = queue.nextDeadline()
    #expect(!isFirst)
    #expect(next == nil)
  }
}

@Suite struct RealTimeClockTests {
  @Test func `time stands until it is started, and while it is paused`() async throws {
    let clock = try RealTimeClock()
    #expect(clock.now == .start)
    clock.resume()
    while clock.now == .start {}
    clock.pause()
    let paused = clock.now
    try await Task.sleep(for: .milliseconds(20))
    #expect(clock.now == paused)
    clock.resume()
    #expect(clock.now >= paused)
    #expect(clock.now < paused.advanced(byNanoseconds: 20_000_000_000))
  }

  @Test func `a timer fires once, not before its deadline`() async throws {
    let clock = try RealTimeClock()
    clock.resume()
    let (moments, continuation) = AsyncStream<VirtualInstant>.makeStream()
    let timer = clock.makeTimer { [weak clock] in
      if let clock { continuation.yield(clock.now) }
    }
    let deadline = clock.now.advanced(byNanoseconds: 2_000_000)
    timer.arm(at: deadline)
    var iterator = moments.makeAsyncIterator()
    let moment = await iterator.next()
    #expect(try #require(moment) >= deadline)
    try await Task.sleep(for: .milliseconds(10))
    continuation.finish()
    #expect(await iterator.next() == nil)
  }

  @Test func `no timer fires in a paused machine`() async throws {
    let clock = try RealTimeClock()
    clock.resume()
    let fired = Monitor(false)
    let timer = clock.makeTimer { fired.update { $0 = true } }
    clock.pause()
    timer.arm(at: clock.now)
    try await Task.sleep(for: .milliseconds(20))
    #expect(!fired.withLock { $0 })
    clock.resume()
    fired.wait { $0 ? () : nil }
  }

  @Test func `a seeded source gives the same numbers again`() {
    let (a, b, c) = (1, 1, 2) as (UInt64, UInt64, UInt64)
    let numbers = { (seed: UInt64) in
      let source = SeededEntropySource(seed: seed)
      return (0..<100).map { _ in source.next() }
    }
    #expect(numbers(a) == numbers(b))
    #expect(numbers(a) != numbers(c))
    #expect(Set(numbers(a)).count == 100)
  }
}
