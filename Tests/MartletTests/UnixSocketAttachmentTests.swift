import Foundation
import HostSystem
import Synchronization
import Testing

@testable import Martlet

@Suite(.timeLimit(.minutes(1))) struct UnixSocketAttachmentTests {
  private func path() -> String {
    FileManager.default.temporaryDirectory.appending(path: "serial-\(UUID().uuidString.prefix(8))")
      .path
  }

  private func read(_ stream: StreamDescriptor, count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      var polls = PollSet()
      polls.add(stream.descriptor, .readable)
      _ = polls.wait(milliseconds: 10_000)
      guard !polls[0].isEmpty, let more = stream.receive(atMost: count) else { break }
      bytes += more
    }
    return bytes
  }

  @Test func `one client at a time talks to the guest, and the next after it`() throws {
    let path = path()
    let attachment = try UnixSocketSerialPortAttachment(url: URL(fileURLWithPath: path))
    let line = SerialLine(to: attachment)
    let taken = Monitor<[UInt8]>([])
    try line.open(
      submit: { bytes in
        taken.update { $0 += bytes }
        return bytes.count
      }, resumeOutput: {})
    var first: StreamDescriptor? = try StreamDescriptor(connectingTo: path)
    _ = first?.send([1, 2])
    taken.wait { $0 == [1, 2] ? () : nil }
    // More than the socket and the line hold together: the client is slow, and gets it all.
    let bytes = (0..<600_000).map { UInt8(truncatingIfNeeded: $0 >> 4) }
    let writer = try HostThread(name: "writer") {
      var rest = bytes[...]
      while !rest.isEmpty {
        rest = rest.dropFirst(line.write(rest.prefix(5000)))
      }
    }
    #expect(read(first!, count: bytes.count) == bytes)
    writer.join()
    let second = try StreamDescriptor(connectingTo: path)
    _ = second.send([3])
    let reports = Monitor<[Bool]>([])
    attachment.observeConnection { isConnected in reports.update { $0.append(isConnected) } }
    first = nil
    taken.wait { $0 == [1, 2, 3] ? () : nil }
    #expect(reports.withLock { $0 } == [true, false, true])
    #expect(line.write([9, 9]) == 2)
    line.close()
    // The last words arrive.
    #expect(read(second, count: 2) == [9, 9])
  }

  @Test func `a client that does not read does not keep the machine from stopping`() throws {
    let path = path()
    let attachment = try UnixSocketSerialPortAttachment(url: URL(fileURLWithPath: path))
    let line = SerialLine(to: attachment)
    let taken = Monitor(0)
    try line.open(
      submit: { bytes in
        taken.update { $0 += bytes.count }
        return bytes.count
      }, resumeOutput: {})
    let client = try StreamDescriptor(connectingTo: path)
    _ = client.send([1])
    taken.wait { $0 == 1 ? () : nil }
    var total = 0
    while case let count = line.write([UInt8](repeating: 1, count: 60_000)),
      count > 0 || total < 500_000
    {
      total += count
    }
    line.close()
  }

  @Test func `a path that is taken is refused, and free again afterwards`() throws {
    let url = URL(fileURLWithPath: path())
    do {
      let attachment = try UnixSocketSerialPortAttachment(url: url)
      let error = #expect(throws: ConfigurationError.self) {
        try UnixSocketSerialPortAttachment(url: url)
      }
      #expect("\(error!)".contains("choose another path"))
      attachment.disconnect()
    }
    #expect(!FileManager.default.fileExists(atPath: url.path))
    _ = try UnixSocketSerialPortAttachment(url: url)
  }
}
