import DeviceModel
import Foundation
import HostSystem
import Testing

@testable import Networks

/// A socket device that writes down what happens, and takes as much as it is told to.
final class EventLog: Sendable {
  private struct State: Sendable {
    var events: [SocketEvent] = []
    var bytes: [UInt8] = []
    var room = Int.max
  }

  private let state = Monitor(State())

  func take(_ event: SocketEvent) -> Int {
    state.update { state in
      guard case .received(_, let bytes) = event else {
        state.events.append(event)
        return 1
      }
      let count = min(state.room, bytes.count)
      state.room -= count
      state.bytes += bytes.prefix(count)
      return count
    }
  }

  func setRoom(_ room: Int) { state.withLock { $0.room = room } }
  var bytes: [UInt8] { state.withLock { $0.bytes } }

  /// Waits for what `found` finds in the events; `nil` if it does not come in time.
  func wait<Result>(
    within seconds: Double = 5, _ found: ([SocketEvent], [UInt8]) -> Result?
  ) -> Result? {
    let end = HostClock.monotonicNanoseconds() + UInt64(seconds * 1e9)
    while true {
      if let result = state.withLock({ found($0.events, $0.bytes) }) { return result }
      if HostClock.monotonicNanoseconds() >= end { return nil }
      state.waitForUpdate { found($0.events, $0.bytes) != nil ? 0 : end }
    }
  }

  func waits(for event: SocketEvent) -> Bool {
    wait { events, _ in events.contains(event) ? true : nil } != nil
  }

  /// The connection and port that somebody asks for.
  func request() -> (connection: SocketConnection, port: UInt32)? {
    wait { events, _ in
      for case .connect(let connection, let port) in events.reversed() { return (connection, port) }
      return nil
    }
  }
}

extension StreamDescriptor {
  /// What comes until `isEnough`, or the end.
  func read(until isEnough: ([UInt8]) -> Bool) -> [UInt8] {
    var bytes: [UInt8] = []
    var polls = PollSet()
    polls.add(descriptor, .readable)
    let end = HostClock.monotonicNanoseconds() + 5_000_000_000
    while !isEnough(bytes), HostClock.monotonicNanoseconds() < end {
      _ = polls.wait(milliseconds: 100)
      guard let more = receive(atMost: 1 << 16) else { break }
      bytes += more
    }
    return bytes
  }

  func readLine() -> String { String(decoding: read { $0.last == 10 }, as: UTF8.self) }
  func readToEnd() -> [UInt8] { read { _ in false } }
}

@Suite struct UnixSocketBridgeTests {
  private func withBridge(
    _ body: (UnixSocketBridge, EventLog, String) throws -> Void
  ) throws {
    let path = FileManager.default.temporaryDirectory
      .appending(path: "vsock-\(UUID().uuidString.prefix(8))").path
    let bridge = try UnixSocketBridge(path: path)
    let log = EventLog()
    try bridge.connect(submit: log.take)
    bridge.start()
    defer { bridge.disconnect() }
    try body(bridge, log, path)
  }

  /// The same with a connection that the guest began, and the host's end of it.
  private func withPeer(
    _ body: (UnixSocketBridge, EventLog, SocketConnection, consuming StreamDescriptor) throws ->
      Void
  ) throws {
    try withBridge { bridge, log, path in
      let server = try SocketListener(path: "\(path)_80", .bytes)
      defer { server.remove() }
      let connection = SocketConnection(fromGuest: 0)
      bridge.open(connection, port: 80)
      #expect(log.waits(for: .opened(connection)))
      try body(bridge, log, connection, #require(server.acceptStream()))
    }
  }

  @Test func `the host says CONNECT and hears OK, and what it said with it arrives`() throws {
    try withBridge { bridge, log, path in
      let client = try StreamDescriptor(connectingTo: path)
      _ = client.send(Array("CONNECT 52\nearly".utf8))
      let (connection, port) = try #require(log.request())
      #expect(port == 52)
      #expect(log.bytes == [])
      bridge.accept(connection, hostPort: 1 << 30)
      #expect(client.readLine() == "OK 1073741824\n")
      #expect(log.wait { _, bytes in bytes == Array("early".utf8) ? true : nil } != nil)
      bridge.send(Array("answer\n".utf8), on: connection)
      #expect(client.readLine() == "answer\n")
      // The greeting was not the guest's.
      #expect(log.waits(for: .sent(connection, byteCount: 7)))
    }
  }

  @Test(arguments: ["CONNECT\n", "CONNECT x\n", "CONNECT 4294967296\n", "GET / HTTP/1.0\n"])
  func `other words end the connection`(command: String) throws {
    try withBridge { _, log, path in
      let client = try StreamDescriptor(connectingTo: path)
      _ = client.send(Array(command.utf8))
      #expect(client.readToEnd() == [])
      #expect(log.wait(within: 0.05) { events, _ in events.isEmpty ? nil : true } == nil)
    }
  }

  @Test func `endless words end the connection`() throws {
    try withBridge { _, _, path in
      let client = try StreamDescriptor(connectingTo: path)
      _ = client.send(Array(repeating: UInt8(ascii: "C"), count: 100))
      #expect(client.readToEnd() == [])
    }
  }

  @Test func `without a guest nobody is let in`() throws {
    try withBridge { bridge, _, path in
      let early = try StreamDescriptor(connectingTo: path)
      _ = early.send(Array("CONNECT 1\n".utf8))
      bridge.reset()
      #expect(early.readToEnd() == [])
      let late = try StreamDescriptor(connectingTo: path)
      #expect(late.readToEnd() == [])
    }
  }

  @Test func `a refused connection is closed without an OK, and one given up is told`() throws {
    try withBridge { bridge, log, path in
      let client = try StreamDescriptor(connectingTo: path)
      _ = client.send(Array("CONNECT 52\n".utf8))
      let first = try #require(log.request())
      bridge.drop(first.connection)
      #expect(client.readToEnd() == [])
      var impatient: StreamDescriptor? = try StreamDescriptor(connectingTo: path)
      _ = impatient?.send(Array("CONNECT 53\n".utf8))
      let second = try #require(
        log.wait { events, _ in
          events.compactMap { if case .connect(let number, 53) = $0 { number } else { nil } }.first
        })
      impatient = nil
      #expect(log.waits(for: .ended(second, .both)))
    }
  }

  @Test func `the guest reaches the socket that its port names, and only if there is one`() throws {
    try withBridge { bridge, log, path in
      bridge.open(SocketConnection(fromGuest: 1), port: 81)
      #expect(log.waits(for: .refused(SocketConnection(fromGuest: 1))))
      let server = try SocketListener(path: "\(path)_80", .bytes)
      defer { server.remove() }
      let connection = SocketConnection(fromGuest: 2)
      bridge.open(connection, port: 80)
      #expect(log.waits(for: .opened(connection)))
      let peer = try #require(server.acceptStream())
      bridge.send(Array("hello\n".utf8), on: connection)
      #expect(peer.readLine() == "hello\n")
    }
  }

  @Test func `each side ends alone, after all that it sent`() throws {
    try withPeer { bridge, log, connection, peer in
      // More than the socket holds at once.
      let bytes = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 >> 3) }
      bridge.send(bytes, on: connection)
      bridge.finish(connection, .sending)
      #expect(peer.readToEnd() == bytes)
      #expect(peer.send([1, 2, 3]) == 3)
      #expect(log.wait { _, bytes in bytes == [1, 2, 3] ? true : nil } != nil)
      peer.endSending()
      #expect(log.waits(for: .ended(connection, .both)))
    }
  }

  @Test func `a peer that goes is heard of, whether somebody writes to it or not`() throws {
    try withPeer { _, log, connection, peer in
      peer.endSending()
      #expect(log.waits(for: .ended(connection, .sending)))
      _ = consume peer
      #expect(log.waits(for: .ended(connection, .both)))
    }
  }

  @Test func `what the guest has no room for waits`() throws {
    try withBridge { bridge, log, path in
      let client = try StreamDescriptor(connectingTo: path)
      _ = client.send(Array("CONNECT 52\n".utf8))
      let (connection, _) = try #require(log.request())
      log.setRoom(3)
      bridge.accept(connection, hostPort: 9)
      _ = client.readLine()
      _ = client.send([1, 2, 3, 4, 5])
      #expect(log.wait { _, bytes in bytes.count == 3 ? true : nil } != nil)
      client.endSending()
      #expect(log.wait(within: 0.05) { events, _ in events.count > 1 ? true : nil } == nil)
      log.setRoom(.max)
      bridge.resume(connection)
      #expect(log.wait { _, bytes in bytes == [1, 2, 3, 4, 5] ? true : nil } != nil)
      #expect(log.waits(for: .ended(connection, .sending)))
    }
  }

  @Test func `two machines do not share a path`() throws {
    try withBridge { _, _, path in
      #expect(throws: HostError.self) { try UnixSocketBridge(path: path) }
    }
    #expect(throws: HostError.self) {
      try UnixSocketBridge(path: "/tmp/" + String(repeating: "x", count: 200))
    }
  }
}
