import Foundation
import HostSystem
import Martlet
import Synchronization
import Testing

extension GuestBootTests {
  private static let modules = Guest.virtioModules + ["virtio_console"]

  /// /dev/hvc0 is a terminal with the size that the host says, and a port for programs carries bytes both ways.
  @Test(
    .enabled(
      if: Guest.cloudAmd64.isPresent, "no guests in the cache: run Scripts/fetch-guests.sh"))
  func `the guest has terminals and ports by virtio`() async throws {
    let ramdisk = try GuestProgram.initialRamdisk(of: .cloudAmd64, adding: Self.modules)
    defer { try? FileManager.default.removeItem(at: ramdisk) }
    let terminal = SizedAttachment(TerminalSize(columns: 132, rows: 43))
    let second = MemorySerialPortAttachment()
    let path = FileManager.default.temporaryDirectory
      .appending(path: "console-\(UUID().uuidString.prefix(8))").path
    let agent = try UnixSocketSerialPortAttachment(url: URL(fileURLWithPath: path))
    let session = try await GuestSession.run(
      .cloudAmd64, script: "consoles", cpuCount: 2, initialRamdisk: ramdisk,
      options: "martlet.modules=\(Self.modules.joined(separator: ","))"
    ) { console in
      guard await terminal.line.waits(for: "martlet: size 43 132") else { return }
      terminal.resize(TerminalSize(columns: 80, rows: 25))
      guard await terminal.line.waits(for: "martlet: size 25 80") else { return }
      terminal.line.type("typed on hvc0\n")
      second.type("typed on hvc1\n")
      guard await console.waits(for: "martlet: agent waits") else { return }
      guard let stream = try? StreamDescriptor(connectingTo: path) else { return }
      _ = stream.send(Array("from the host\n".utf8))
      #expect(
        await Task.detached { readToLine(stream) }.value == "martlet: agent got from the host\n")
    } change: {
      $0.consoleDevices = [
        VirtioConsoleDeviceConfiguration(ports: [
          VirtioConsolePortConfiguration(attachment: terminal),
          VirtioConsolePortConfiguration(name: "org.martlet.agent", attachment: agent),
          VirtioConsolePortConfiguration(attachment: second),
        ])
      ]
    }
    #expect(session.reason == .poweredOff, "\(session.log.suffix(2000))")
    #expect(session.complaints == [])
    #expect(session.log.contains("martlet: port org.martlet.agent"))
    #expect(terminal.line.text.contains("martlet: read typed on hvc0"))
    #expect(second.text.contains("martlet: read typed on hvc1"))
    // More than any queue holds, in order.
    let lines = second.text.split(whereSeparator: \.isNewline).compactMap { Int($0) }
    let isComplete = lines == Array(1...30_000)
    #expect(isComplete, "\(lines.count) lines")
  }
}

private func readToLine(_ stream: StreamDescriptor) -> String {
  var bytes: [UInt8] = []
  while bytes.last != 10 {
    var polls = PollSet()
    polls.add(stream.descriptor, .readable)
    _ = polls.wait(milliseconds: 60_000)
    guard !polls[0].isEmpty, let more = stream.receive(atMost: 4096) else { break }
    bytes += more
  }
  return String(decoding: bytes, as: UTF8.self)
}

/// A line in memory whose terminal has a size.
private final class SizedAttachment: SerialPortAttachment {
  let line = MemorySerialPortAttachment()
  private let state: Mutex<(size: TerminalSize, report: (@Sendable (TerminalSize) -> Void)?)>

  init(_ size: TerminalSize) { state = Mutex((size, nil)) }

  func resize(_ size: TerminalSize) {
    let report = state.withLock { state in
      state.size = size
      return state.report
    }
    report?(size)
  }

  func observeSize(_ report: @escaping @Sendable (TerminalSize) -> Void) {
    let size = state.withLock { state in
      state.report = report
      return state.size
    }
    report(size)
  }

  func send(_ bytes: [UInt8]) { line.send(bytes) }
  func connect(receive: @escaping @Sendable ([UInt8]) -> Void) { line.connect(receive: receive) }

  func disconnect() {
    state.withLock { $0.report = nil }
    line.disconnect()
  }
}
