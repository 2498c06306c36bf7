import DeviceModel
import Foundation
import HostSystem
import Testing

@testable import DiskImages

/// `MARTLET_BENCHMARK=1 swift test --filter ImageBenchmark` prints what images of each format do in a second, in the
/// host's cache.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["MARTLET_BENCHMARK"] != nil), .serialized)
struct ImageBenchmark {
  @Test(arguments: [1, 16], [false, true])
  func `requests of 4 KiB`(depth: Int, isWriting: Bool) throws {
    let folder = try ImageFolder()
    for format in ImageFormat.allCases {
      var options = ImageOptions(format: format, byteCount: 256 << 20)
      options.preallocation = .full
      let path = folder.path("image.\(format)")
      try DiskImage.create(path: path, options)
      let image = try DiskImage.open(path: path, format: format, isReadOnly: false)
      var random = Generator(state: 1)
      // One thread submits and waits, as a virtual CPU does.
      let free = Monitor((0..<depth).map { _ in MemorySegments(zeroed: 4096) })
      let end = HostClock.monotonicNanoseconds() + 1_000_000_000
      var done = 0
      while HostClock.monotonicNanoseconds() < end {
        let buffer = free.wait { $0.popLast() }
        let offset = UInt64(random.next(below: 65_536)) * 4096
        image.submit(
          isWriting
            ? .write(offset: offset, from: buffer, isDurable: false)
            : .read(offset: offset, into: buffer)
        ) { _ in free.update { $0.append(buffer) } }
        done += 1
      }
      try image.close()
      print("\(isWriting ? "write" : "read") depth \(depth) \(format): \(done)/s")
    }
  }
}
