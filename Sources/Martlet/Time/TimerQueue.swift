import MachineTypes

/// The timers of a clock, and which is due first. A heap with lazy removal: an entry counts only while
/// its sequence number is the timer's current one.
struct TimerQueue {
  private struct Entry {
    var deadline: VirtualInstant
    var sequence: UInt64
    var timer: Int
  }

  private struct Timer {
    var handler: @Sendable () -> Void
    /// Of the entry that is armed; `nil` while disarmed.
    var sequence: UInt64?
  }

  private var timers: [Int: Timer] = [:]
  private var heap: [Entry] = []
  private var lastIdentifier = 0
  private var lastSequence: UInt64 = 0
  /// Set once, at the end: all timers are gone and no more are taken.
  private(set) var isClosed = false

  mutating func add(_ handler: @escaping @Sendable () -> Void) -> Int {
    lastIdentifier += 1
    if !isClosed { timers[lastIdentifier] = Timer(handler: handler, sequence: nil) }
    return lastIdentifier
  }

  mutating func remove(_ timer: Int) { timers[timer] = nil }

  /// Returns whether the timer is now the first to be due.
  mutating func arm(_ timer: Int, at deadline: VirtualInstant) -> Bool {
    guard timers[timer] != nil else { return false }
    lastSequence += 1
    timers[timer]?.sequence = lastSequence
    compact()
    insert(Entry(deadline: deadline, sequence: lastSequence, timer: timer))
    return heap[0].sequence == lastSequence
  }

  mutating func disarm(_ timer: Int) { timers[timer]?.sequence = nil }

  /// When the first timer is due; `nil` when none is armed.
  mutating func nextDeadline() -> VirtualInstant? {
    dropStaleEntries()
    return heap.first?.deadline
  }

  /// Disarms the first timer that is due by `now` and returns its handler.
  mutating func takeDue(by now: VirtualInstant) -> (@Sendable () -> Void)? {
    dropStaleEntries()
    guard let first = heap.first, first.deadline <= now else { return nil }
    removeFirst()
    timers[first.timer]?.sequence = nil
    return timers[first.timer]?.handler
  }

  mutating func close() {
    isClosed = true
    timers = [:]
    heap = []
  }

  private func isCurrent(_ entry: Entry) -> Bool {
    timers[entry.timer]?.sequence == entry.sequence
  }

  private mutating func dropStaleEntries() {
    while let first = heap.first, !isCurrent(first) { removeFirst() }
  }

  /// Rebuilds the heap when most of it is stale, so that arming again and again costs no memory.
  private mutating func compact() {
    guard heap.count > 64, heap.count > 4 * timers.count else { return }
    let current = heap.filter(isCurrent)
    heap = []
    for entry in current { insert(entry) }
  }

  private static func precedes(_ a: Entry, _ b: Entry) -> Bool {
    a.deadline != b.deadline ? a.deadline < b.deadline : a.sequence < b.sequence
  }

  private mutating func insert(_ entry: Entry) {
    heap.append(entry)
    var child = heap.count - 1
    while child > 0, case let parent = (child - 1) / 2, Self.precedes(heap[child], heap[parent]) {
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func removeFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while case let left = 2 * parent + 1, left < heap.count {
      let right = left + 1
      let child = right < heap.count && Self.precedes(heap[right], heap[left]) ? right : left
      guard Self.precedes(heap[child], heap[parent]) else { return }
      heap.swapAt(parent, child)
      parent = child
    }
  }
}
