import DeviceModel
import Foundation
import HostSystem

/// A file that goes away with its test.
final class ScratchFile {
  let path: String
  var url: URL { URL(fileURLWithPath: path) }

  init(_ bytes: [UInt8], name: String = "img") throws {
    path =
      FileManager.default.temporaryDirectory
      .appending(path: "martlet-\(UUID().uuidString).\(name)").path()
    try Data(bytes).write(to: url)
  }

  convenience init(byteCount: Int) throws { try self.init([UInt8](repeating: 0, count: byteCount)) }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The next read comes from the disk.
  func dropFromCache() {
    let file = open(path, O_RDONLY)
    fsync(file)
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
    close(file)
  }
}

/// Counts requests and collects what became of them.
final class Tracker: Sendable {
  private let state = Monitor((begun: 0, ended: [Result<Void, BlockError>]()))

  var ended: [Result<Void, BlockError>] { state.withLock { $0.ended } }

  func submission(_ request: BlockRequest) -> BlockSubmission {
    state.withLock { $0.begun += 1 }
    return BlockSubmission(request) { [state] result in state.update { $0.ended.append(result) } }
  }

  /// Waits until all requests have ended.
  func results() async -> [Result<Void, BlockError>] {
    await withCheckedContinuation { continuation in
      Thread.detachNewThread { [state] in
        continuation.resume(returning: state.wait { $0.ended.count == $0.begun ? $0.ended : nil })
      }
    }
  }
}

func == (a: Result<Void, BlockError>, b: Result<Void, BlockError>) -> Bool {
  switch (a, b) {
  case (.success, .success): true
  case (.failure(let a), .failure(let b)): a == b
  default: false
  }
}

extension [Result<Void, BlockError>] {
  func contains(_ result: Result<Void, BlockError>) -> Bool { contains { $0 == result } }
}

/// Pseudo-random numbers (SplitMix64).
struct Generator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }

  mutating func next(below bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// Memory in several runs, as guests have it.
final class Runs: @unchecked Sendable {
  private let start: UnsafeMutableRawPointer

  private init(byteCount: Int) {
    start = .allocate(byteCount: byteCount, alignment: 16)
    start.initializeMemory(as: UInt8.self, repeating: 0xEE, count: byteCount)
  }

  deinit { start.deallocate() }

  /// A buffer of 1…1500 runs with gaps between them.
  static func buffer(of byteCount: Int, _ random: inout Generator) -> MemorySegments {
    let runCount = random.next(below: 8) == 0 ? 1500 : 1 + random.next(below: 5)
    let length = max(1, byteCount / runCount)
    var vectors: [iovec] = []
    let runs = Runs(byteCount: 2 * byteCount + length)
    var done = 0
    while done < byteCount {
      let count = min(length, byteCount - done)
      vectors.append(iovec(iov_base: runs.start + 2 * done, iov_len: count))
      done += count
    }
    return MemorySegments(vectors: vectors, owner: runs)
  }
}
