import DeviceModel
import HostSystem
import Testing

@testable import DiskImages

/// Loss of power while several threads write, flush and free clusters at once.
@Suite struct Qcow2ParallelPowerLossTests {
  /// What one thread knows: each sector's values by the events after which they were begun, and its flushes.
  private struct Log: Sendable {
    /// A value of a sector, and how many events there were before it was written.
    var writes: [Int: [(value: UInt8, start: Int)]] = [:]
    /// How many events there were when a flush began and when it was complete.
    var flushes: [(start: Int, end: Int)] = []
  }

  private static let threadCount = 4

  @Test(arguments: [UInt64(512), 4096], [false, true])
  func `what a thread flushed is there, whatever others were doing`(
    cluster: UInt64, isLazy: Bool
  ) throws {
    let shape = ImageShape(cluster: cluster, size: 2 << 20, refcountBits: 64, isLazy: isLazy)
    let initial = try shape.image()
    let storage = SimulatedStorage(initial)
    let disk = try shape.open(storage)
    let logs = Monitor([Log](repeating: Log(), count: Self.threadCount))
    let threads = try (0..<Self.threadCount).map { number in
      try HostThread(name: "writer") {
        let log = Self.write(disk, storage, number, sectors: shape.size / 512)
        logs.withLock { $0[number] = log }
      }
    }
    for thread in threads { thread.join() }
    try disk.close()

    let events = storage.events
    var random = Generator(state: cluster)
    for _ in 0..<120 {
      let end = random.next(below: events.count + 1)
      let bytes = SimulatedStorage.contents(of: initial, events[..<end], &random)
      let crashed = SimulatedStorage(bytes)
      let header = try Qcow2Header(reading: crashed)
      let report = try check(crashed)
      let isDirty = header.incompatible.contains(.dirty)
      #expect(report.corruptions == 0 || isLazy && isDirty, "event \(end): \(report.findings)")
      #expect(report.leaks == 0 || isDirty, "event \(end): \(report.findings)")
      let survivor = try shape.open(crashed)
      let now = try survivor.bytes()
      for log in logs.withLock({ $0 }) { expectFlushed(now, log, at: end) }
      try survivor.close()
      let repaired = try check(crashed)
      #expect(repaired.corruptions == 0 && repaired.leaks == 0, "event \(end), repaired")
    }
  }

  /// Each thread has every fourth sector, so that they meet in clusters.
  private static func write(
    _ disk: Qcow2Disk, _ storage: SimulatedStorage, _ number: Int, sectors: Int
  ) -> Log {
    var log = Log()
    var random = Generator(state: UInt64(number))
    for step in 0..<300 {
      do {
        if step % 20 == 19 {
          let start = storage.eventCount
          try disk.perform(.flush)
          log.flushes.append((start, storage.eventCount))
          continue
        }
        let sector = random.next(below: sectors / threadCount) * threadCount + number
        let offset = UInt64(sector) * 512
        let value = step % 5 == 4 ? 0 : UInt8(truncatingIfNeeded: step | 1)
        log.writes[sector, default: [(0, 0)]].append((value, storage.eventCount))
        if value == 0 {
          try disk.perform(.writeZeroes(offset: offset, byteCount: 512, mayUnmap: true))
        } else {
          try disk.write([UInt8](repeating: value, count: 512), at: offset)
        }
      } catch {
        Issue.record("\(error)")
      }
    }
    return log
  }

  private func expectFlushed(_ now: [UInt8], _ log: Log, at end: Int) {
    let flush = log.flushes.last { $0.end <= end }
    for (sector, writes) in log.writes {
      // The last write that was complete when the flush began, and those that were begun later.
      let first = flush.flatMap { flush in writes.lastIndex { $0.start <= flush.start } } ?? 0
      let possible = writes[first...].filter { $0.start <= end }.map(\.value)
      let held = now[sector * 512..<sector * 512 + 512]
      let value = held[held.startIndex]
      #expect(
        held.allSatisfy { $0 == value } && possible.contains(value),
        "event \(end): sector \(sector) holds \(value), not one of \(possible)")
    }
  }
}
