import DeviceModel
import Foundation
import HostSystem
import Synchronization
import Testing

@testable import DiskImages

/// Whether this host has a ring; where it has none, its tests would test the threads again.
private let hasRing = (try? TransferRing()).map { $0.finish() } != nil

private let methods: [AsynchronousFile.Method] =
  hasRing ? [.automatic, .ring, .threads] : [.automatic, .threads]

@Suite struct AsynchronousFileTests {
  @Test(.enabled(if: hasRing, "this host has no io_uring, or forbids it"))
  func `the ring is used where there is one`() throws {
    let scratch = try ScratchFile(byteCount: 4096)
    let file = try AsynchronousFile(try ImageFile(path: scratch.path, isReadOnly: false))
    #expect(file.hasRing)
    file.finish()
  }

  @Test(arguments: methods)
  func `every method does the same to a file`(method: AsynchronousFile.Method) async throws {
    let size = 3 << 20
    let scratch = try ScratchFile(byteCount: size)
    let file = try AsynchronousFile(
      try ImageFile(path: scratch.path, isReadOnly: false), method: method)
    var random = Generator(state: 7)
    var model = [UInt8](repeating: 0, count: size)
    for _ in 0..<60 {
      // Up to 24 requests at once, which do not touch each other.
      var position = random.next(below: 60_000)
      var reads: [(MemorySegments, Range<Int>)] = []
      let tracker = Tracker()
      var submissions: [BlockSubmission] = []
      while position < size, submissions.count < 24 {
        let range = position..<min(size, position + 1 + random.next(below: 200_000))
        position = range.upperBound + random.next(below: 30_000)
        let request: BlockRequest
        switch random.next(below: 8) {
        case 0, 1, 2:
          let buffer = Runs.buffer(of: range.count, &random)
          reads.append((buffer, range))
          request = .read(offset: UInt64(range.lowerBound), into: buffer)
        case 3, 4, 5:
          let buffer = Runs.buffer(of: range.count, &random)
          let bytes = (0..<range.count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
          buffer.write(bytes)
          model.replaceSubrange(range, with: bytes)
          request = .write(
            offset: UInt64(range.lowerBound), from: buffer, isDurable: random.next(below: 4) == 0)
        case 6:
          model.replaceSubrange(range, with: repeatElement(0, count: range.count))
          request = .writeZeroes(
            offset: UInt64(range.lowerBound), byteCount: UInt64(range.count),
            mayUnmap: random.next(below: 2) == 0)
        default: request = .flush
        }
        submissions.append(tracker.submission(request))
      }
      let before = model
      file.submit(submissions)
      for result in await tracker.results() { try result.get() }
      for (buffer, range) in reads { #expect(buffer.bytes() == Array(before[range])) }
    }
    file.finish()
    #expect([UInt8](try Data(contentsOf: scratch.url)) == model)
  }

  @Test(arguments: methods)
  func `what lies beyond the end of the file reads as zeroes`(
    method: AsynchronousFile.Method
  ) async throws {
    let scratch = try ScratchFile([UInt8](repeating: 9, count: 700))
    let file = try AsynchronousFile(
      try ImageFile(path: scratch.path, isReadOnly: true), method: method)
    let tracker = Tracker()
    let buffer = MemorySegments(zeroed: 1024)
    buffer.write([UInt8](repeating: 1, count: 1024))
    file.submit([tracker.submission(.read(offset: 512, into: buffer))])
    for result in await tracker.results() { try result.get() }
    let expected = [UInt8](repeating: 9, count: 188) + [UInt8](repeating: 0, count: 836)
    #expect(buffer.bytes() == expected)
    file.finish()
  }

  @Test(arguments: methods)
  func `finishing waits for hundreds of requests`(method: AsynchronousFile.Method) throws {
    let count = 700
    let scratch = try ScratchFile(byteCount: count * 4096)
    let file = try AsynchronousFile(
      try ImageFile(path: scratch.path, isReadOnly: false), method: method)
    let tracker = Tracker()
    for number in 0..<count {
      let buffer = MemorySegments(zeroed: 4096)
      buffer.write([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 4096))
      file.submit([
        tracker.submission(
          .write(offset: UInt64(number * 4096), from: buffer, isDurable: false))
      ])
    }
    file.finish()
    #expect(tracker.ended.count == count)
    #expect(tracker.ended.allSatisfy { (try? $0.get()) != nil })
    let bytes = try Data(contentsOf: scratch.url)
    for number in 0..<count {
      #expect(bytes[number * 4096 + 77] == UInt8(truncatingIfNeeded: number))
    }
  }

  /// The kernel cancels what a thread submitted that has ended.
  @Test(arguments: methods)
  func `requests outlive the thread that submitted them`(method: AsynchronousFile.Method)
    async throws
  {
    let scratch = try ScratchFile([UInt8](repeating: 5, count: 16 << 20))
    for _ in 0..<10 {
      scratch.dropFromCache()
      let file = try AsynchronousFile(
        try ImageFile(path: scratch.path, isReadOnly: false), method: method)
      let tracker = Tracker()
      let buffers = (0..<64).map { _ in MemorySegments(zeroed: 256 << 10) }
      let thread = try HostThread(name: "short") {
        for (number, buffer) in buffers.enumerated() {
          let request: BlockRequest =
            number % 2 == 0
            ? .read(offset: UInt64(number) << 18, into: buffer)
            : .write(offset: UInt64(number) << 18, from: buffer, isDurable: false)
          if number % 2 == 1 { buffer.write([UInt8](repeating: 5, count: buffer.byteCount)) }
          file.submit([tracker.submission(request)])
        }
      }
      thread.join()
      file.finish()
      #expect(tracker.ended.count == 64)
      for result in tracker.ended { try result.get() }
      for buffer in buffers { #expect(buffer.bytes().allSatisfy { $0 == 5 }) }
    }
  }

  @Test(arguments: methods)
  func `completions come on another thread, and may submit`(
    method: AsynchronousFile.Method
  ) async throws {
    let scratch = try ScratchFile(byteCount: 1 << 20)
    let file = try AsynchronousFile(
      try ImageFile(path: scratch.path, isReadOnly: false), method: method)
    let end = Monitor(0)
    let isSubmitting = Mutex(false)
    @Sendable func again(_ left: Int) {
      let buffer = MemorySegments(zeroed: 4096)
      let request: BlockRequest =
        left % 3 == 0
        ? .write(offset: 8192, from: buffer, isDurable: false) : .read(offset: 4096, into: buffer)
      file.submit(request) { _ in
        if left > 0 { again(left - 1) } else { end.update { $0 += 1 } }
      }
    }
    for _ in 0..<20 {
      // A completion from within `submit` would lock this twice.
      isSubmitting.withLock { _ in
        file.submit(.read(offset: 0, into: MemorySegments(zeroed: 512))) { _ in
          isSubmitting.withLock { _ in }
          again(50)
        }
      }
    }
    end.wait { $0 == 20 ? () : nil }
    file.finish()
  }

  @Test(.enabled(if: geteuid() == 0, "needs root to mount a small file system"), arguments: methods)
  func `a full disk is reported as such`(method: AsynchronousFile.Method) async throws {
    let directory = FileManager.default.temporaryDirectory
      .appending(path: "martlet-full-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    try #require(mount("none", directory.path(), "tmpfs", 0, "size=256k") == 0)
    defer {
      umount(directory.path())
      try? FileManager.default.removeItem(at: directory)
    }
    let path = directory.appending(path: "image").path()
    #expect(FileManager.default.createFile(atPath: path, contents: nil))
    truncate(path, 1 << 20)
    do {
      let image = try RawImage(path: path, isReadOnly: false, method: method)
      let tracker = Tracker()
      for number in 0..<16 {
        let buffer = MemorySegments(zeroed: 64 << 10)
        image.submit([
          tracker.submission(.write(offset: UInt64(number) << 16, from: buffer, isDurable: false))
        ])
      }
      let results = await tracker.results()
      let full = results.filter { if case .failure(.noSpace) = $0 { true } else { false } }
      #expect(full.count >= 12 && full.count < 16)
      #expect(results.filter { (try? $0.get()) != nil }.count == 16 - full.count)
      try image.close()
    }
  }

  @Test(arguments: methods)
  func `a failing transfer is reported with its reason`(
    method: AsynchronousFile.Method
  ) async throws {
    let scratch = try ScratchFile(byteCount: 4096)
    let file = try AsynchronousFile(
      try ImageFile(path: scratch.path, isReadOnly: true), method: method)
    let tracker = Tracker()
    let buffer = MemorySegments(zeroed: 512)
    file.submit([
      tracker.submission(.write(offset: 0, from: buffer, isDurable: false)),
      tracker.submission(.read(offset: 0, into: buffer)),
    ])
    let results = await tracker.results()
    #expect(results.contains(.failure(.host(HostError(call: "pwritev", errno: EBADF)))))
    #expect(results.filter { (try? $0.get()) != nil }.count == 1)
    file.finish()
  }
}
