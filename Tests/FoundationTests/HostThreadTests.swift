import Foundation
import HostSystem
import Testing

@Suite struct HostThreadTests {
  @Test func `a write to a pipe that nobody reads fails, and ends nothing`() throws {
    let pipe = Pipe()
    try pipe.fileHandleForReading.close()
    let descriptor = pipe.fileHandleForWriting.fileDescriptor
    let error = Monitor<Int32>(0)
    let thread = try HostThread(name: "writer") {
      let count = write(descriptor, "x", 1)
      error.update { $0 = count < 0 ? errno : -1 }
    }
    thread.join()
    #expect(error.withLock { $0 } == EPIPE)
  }
}
