import Foundation
import HostSystem
import Martlet
import Testing

extension GuestBootTests {
  private static let modules =
    Guest.virtioModules + ["virtio_mmio"]
    + ["vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport"]

  /// `Tests/GuestPrograms/vsock.c` talks to this process and to a client that connects by Firecracker's convention.
  @Test(
    .enabled(
      if: Guest.cloudAmd64.isPresent && GuestProgram.canCompile,
      "needs the guests (Scripts/fetch-guests.sh) and a C compiler"),
    arguments: VirtioTransport.allCases)
  func `programs of the guest and of the host talk over vsock`(
    transport: VirtioTransport
  ) async throws {
    let program = try GuestProgram.compile("vsock.c")
    defer { program.remove() }
    let path = FileManager.default.temporaryDirectory
      .appending(path: "vsock-\(UUID().uuidString.prefix(8))").path
    let server = try SocketListener(path: "\(path)_80", .bytes)
    defer { server.remove() }
    let ramdisk = try program.initialRamdisk(adding: Self.modules)
    let host = Task.detached { SocketHost.answer(server) }
    let session = try await GuestSession.run(
      .cloudAmd64, script: "program", cpuCount: 2,
      initialRamdisk: ramdisk,
      options: "martlet.modules=\(Self.modules.joined(separator: ","))"
    ) { console in
      guard await console.waits(for: "martlet: listening") else { return }
      await Task.detached { SocketHost.call(path) }.value.check()
    } change: {
      $0.virtioTransport = transport
      $0.socketDevices = [
        VirtioSocketDeviceConfiguration(guestCID: 42, socketURL: URL(fileURLWithPath: path))
      ]
    }
    #expect(session.reason == .poweredOff, "\(session.log.suffix(2000))")
    #expect(session.complaints == [])
    let fromGuest = await host.value
    let isAllThere = fromGuest == SocketHost.pattern(5_000_000)
    #expect(isAllThere, "\(fromGuest.count) bytes")
    #expect(session.log.contains("martlet: port 81: Connection reset by peer"))
    let sum = SocketHost.sum(SocketHost.pattern(3_000_000))
    #expect(session.log.contains("martlet: from the host 3000000 bytes, sum \(sum)"))
    #expect(session.log.contains("martlet: accepted from 2:1073741824"))
    #expect(session.log.contains("martlet: from the client 3000000 bytes, sum \(sum)"))
    #expect(session.log.contains("martlet: done"))
    #expect(!FileManager.default.fileExists(atPath: path))
  }
}

/// The host's side of the vsock test.
private enum SocketHost {
  struct Call {
    var greeting: String
    var answer: [UInt8]

    func check() {
      #expect(greeting == "OK 1073741824\n")
      let isAllThere = answer == pattern(1_000_000)
      #expect(isAllThere, "\(answer.count) bytes")
    }
  }

  static func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 >> 7) }
  }

  /// As the program counts it.
  static func sum(_ bytes: [UInt8]) -> String {
    String(bytes.reduce(UInt64(0)) { $0 &* 31 &+ UInt64($1) }, radix: 16)
  }

  /// Takes a connection, reads all that comes, and then sends.
  static func answer(_ server: SocketListener) -> [UInt8] {
    var polls = PollSet()
    polls.add(server.descriptor, .readable)
    _ = polls.wait(milliseconds: 120_000)
    guard let peer = server.acceptStream() else { return [] }
    let bytes = read(peer) { _ in false }
    write(pattern(3_000_000), peer)
    return bytes
  }

  /// Connects to the guest's port 52, sends, and reads what comes back.
  static func call(_ path: String) -> Call {
    guard let stream = try? StreamDescriptor(connectingTo: path) else {
      return Call(greeting: "", answer: [])
    }
    write(Array("CONNECT 52\n".utf8), stream)
    let greeting = String(decoding: read(stream) { $0.last == 10 }, as: UTF8.self)
    write(pattern(3_000_000), stream)
    stream.endSending()
    return Call(greeting: greeting, answer: read(stream) { _ in false })
  }

  private static func read(
    _ stream: StreamDescriptor, until isEnough: ([UInt8]) -> Bool
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    while !isEnough(bytes) {
      var polls = PollSet()
      polls.add(stream.descriptor, .readable)
      _ = polls.wait(milliseconds: 60_000)
      guard !polls[0].isEmpty, let more = stream.receive(atMost: 1 << 16) else { break }
      bytes += more
    }
    return bytes
  }

  private static func write(_ bytes: [UInt8], _ stream: StreamDescriptor) {
    var rest = bytes
    while !rest.isEmpty {
      var polls = PollSet()
      polls.add(stream.descriptor, .writable)
      _ = polls.wait(milliseconds: 60_000)
      guard !polls[0].isEmpty, let count = stream.send(rest) else { return }
      rest.removeFirst(count)
    }
  }
}
