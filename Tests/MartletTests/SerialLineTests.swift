import HostSystem
import Synchronization
import Testing

@testable import Martlet

@Suite(.timeLimit(.minutes(1))) struct SerialLineTests {
  @Test func `carries output in order, all of it, before it closes`() throws {
    let attachment = MemorySerialPortAttachment()
    let line = SerialLine(to: attachment)
    try line.open(submit: { $0.count }, resumeOutput: {})
    for byte in "hello, world".utf8 { #expect(line.write(byte)) }
    line.close()
    #expect(attachment.text == "hello, world")
  }

  @Test func `offers input again that the port had no room for`() throws {
    let attachment = MemorySerialPortAttachment()
    let line = SerialLine(to: attachment)
    let taken = Monitor<[UInt8]>([])
    try line.open(
      submit: { bytes in
        // A port with room for three bytes at a time.
        taken.update { $0 += bytes.prefix(3) }
        return min(3, bytes.count)
      }, resumeOutput: {})
    attachment.type("abcdefgh")
    for count in [3, 6, 8] {
      taken.wait { $0.count >= count ? () : nil }
      line.portHasRoom()
    }
    line.close()
    #expect(taken.withLock { $0 } == Array("abcdefgh".utf8))
  }

  @Test func `keys typed before the start are not lost`() throws {
    let attachment = MemorySerialPortAttachment()
    attachment.type("early")
    let line = SerialLine(to: attachment)
    let taken = Monitor<[UInt8]>([])
    try line.open(
      submit: { bytes in
        taken.update { $0 += bytes }
        return bytes.count
      }, resumeOutput: {})
    taken.wait { $0.count == 5 ? () : nil }
    line.close()
  }

  @Test func `waiting for a text ends when it comes, and when the machine stops`() async {
    let attachment = MemorySerialPortAttachment()
    async let found = attachment.waits(for: "login:")
    attachment.send(Array("lo".utf8))
    attachment.send(Array("gin:".utf8))
    #expect(await found)
    async let missing = attachment.waits(for: "never")
    while !attachment.hasObservers { await Task.yield() }
    attachment.disconnect()
    #expect(await !missing)
  }
}
