import DeviceModel
import Foundation
import HostSystem
import MartletTesting
import Synchronization
import Testing

@testable import DiskImages

/// A disk that only counts, and completes at once on another thread's behalf.
private final class CountingDisk: BlockBackend {
  let begun = Mutex<[BlockSubmission]>([])
  var byteCount: UInt64 { 1 << 30 }
  var blockByteCount: UInt32 { 512 }
  var preferredByteCount: UInt32 { 4096 }
  var isReadOnly: Bool { false }
  var canDiscard: Bool { true }
  var count: Int { begun.withLock { $0.count } }

  func submit(
    _ request: BlockRequest, completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    begun.withLock { $0.append(BlockSubmission(request, completion: completion)) }
  }

  func close() throws(BlockError) {
    for submission in begun.withLock({ $0 }) { submission.completion(.success(())) }
  }
}

@Suite struct ThrottledDiskTests {
  private let clock = FakeClock()
  private let inner = CountingDisk()

  private func disk(_ limits: RateLimits) -> ThrottledDisk {
    ThrottledDisk(inner, limits: limits, clock: clock)
  }

  private func read(_ count: Int) -> BlockRequest {
    .read(offset: 0, into: MemorySegments(zeroed: count))
  }

  @Test func `requests begin at the machine's pace, in order`() {
    let disk = disk(RateLimits(operations: RateLimit(perSecond: 10, burst: 2)))
    let tracker = Tracker()
    for number in 0..<20 {
      disk.submit([
        tracker.submission(.discard(offset: UInt64(number) * 512, byteCount: 512))
      ])
    }
    #expect(inner.count == 2)
    clock.advance(milliseconds: 99)
    #expect(inner.count == 2)
    clock.advance(milliseconds: 1)
    #expect(inner.count == 3)
    clock.advance(seconds: 1)
    #expect(inner.count == 13)
    clock.advance(seconds: 10)
    #expect(inner.count == 20)
    let offsets = inner.begun.withLock {
      $0.compactMap { submission -> UInt64? in
        if case .discard(let offset, _) = submission.request { offset } else { nil }
      }
    }
    #expect(offsets == (0..<20).map { $0 * 512 })
  }

  @Test func `bytes count, but not those of flushes and discards`() {
    let disk = disk(RateLimits(bytes: RateLimit(perSecond: 4096, burst: 4096)))
    disk.submit(read(4096)) { _ in }
    disk.submit(read(4096)) { _ in }
    #expect(inner.count == 1)
    clock.advance(seconds: 1)
    #expect(inner.count == 2)
    disk.submit(.flush) { _ in }
    disk.submit(.discard(offset: 0, byteCount: 1 << 20)) { _ in }
    #expect(inner.count == 4)
    disk.submit(.writeZeroes(offset: 0, byteCount: 8192, mayUnmap: true)) { _ in }
    #expect(inner.count == 4)
    clock.advance(seconds: 1)
    #expect(inner.count == 5)
    // It was larger than the bucket: two seconds' worth.
    disk.submit(read(512)) { _ in }
    clock.advance(seconds: 1)
    #expect(inner.count == 5)
    clock.advance(milliseconds: 125)
    #expect(inner.count == 6)
  }

  @Test func `what waits is dropped with its guest`() {
    let disk = disk(RateLimits(operations: RateLimit(perSecond: 1, burst: 1)))
    for _ in 0..<5 { disk.submit(.flush) { _ in Issue.record("completed") } }
    #expect(disk.dropWaiting() == 4)
    clock.advance(seconds: 10)
    #expect(inner.count == 1)
  }

  @Test func `closing does not wait for a clock that stands still`() throws {
    let disk = disk(RateLimits(operations: RateLimit(perSecond: 1, burst: 1)))
    let tracker = Tracker()
    for _ in 0..<5 { disk.submit([tracker.submission(.flush)]) }
    try disk.close()
    #expect(tracker.ended.count == 5)
  }

  @Test func `a raw image that grew has its new size`() throws {
    let scratch = try ScratchFile(byteCount: 4096)
    let disk = ThrottledDisk(
      try RawImage(path: scratch.path, isReadOnly: false),
      limits: RateLimits(operations: RateLimit(perSecond: 1)), clock: clock)
    truncate(scratch.path, 10_000)
    #expect(disk.byteCount == 4096)
    #expect(try disk.refreshByteCount() == 9728)
    #expect(disk.byteCount == 9728)
    try disk.close()
  }
}
