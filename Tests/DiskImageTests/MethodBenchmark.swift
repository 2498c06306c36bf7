import DeviceModel
import Foundation
import HostSystem
import Testing

@testable import DiskImages

/// `MARTLET_BENCHMARK=1 swift test --filter MethodBenchmark` prints what the methods of an `AsynchronousFile` do
/// in a second, on a file in the host's cache.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["MARTLET_BENCHMARK"] != nil), .serialized)
struct MethodBenchmark {
  @Test(arguments: [1, 16], [false, true])
  func `requests of 4 KiB`(depth: Int, isWriting: Bool) throws {
    let size = 256 << 20
    let scratch = try ScratchFile(byteCount: size)
    for method in AsynchronousFile.Method.allCases {
      let file = try AsynchronousFile(
        try ImageFile(path: scratch.path, isReadOnly: false), method: method)
      var random = Generator(state: 1)
      // One thread submits and waits, as a virtual CPU does.
      let free = Monitor((0..<depth).map { _ in MemorySegments(zeroed: 4096) })
      let end = HostClock.monotonicNanoseconds() + 1_000_000_000
      var done = 0
      while HostClock.monotonicNanoseconds() < end {
        let buffer = free.wait { $0.popLast() }
        let offset = UInt64(random.next(below: size / 4096)) * 4096
        file.submit(
          isWriting
            ? .write(offset: offset, from: buffer, isDurable: false)
            : .read(offset: offset, into: buffer)
        ) { _ in free.update { $0.append(buffer) } }
        done += 1
      }
      file.finish()
      print("\(isWriting ? "write" : "read") depth \(depth) \(method.rawValue): \(done)/s")
    }
  }
}
