import DeviceModel
import GuestMemory
import MachineTypes
import MartletTesting
import Synchronization
import Testing

@testable import VirtioDevices

/// The other end of a port, which can be told how much it takes.
final class RecordingConsole: ConsoleSink {
  private struct State: Sendable {
    var bytes: [UInt8] = []
    var room = Int.max
    var roomCount = 0
  }

  private let state = Mutex(State())
  var bytes: [UInt8] { state.withLock { $0.bytes } }
  /// How often the port said that it has room.
  var roomCount: Int { state.withLock { $0.roomCount } }
  func setRoom(_ room: Int) { state.withLock { $0.room = room } }

  func write(_ bytes: [UInt8]) -> Int {
    state.withLock { state in
      let count = min(state.room, bytes.count)
      state.bytes += bytes.prefix(count)
      state.room -= count
      return count
    }
  }

  func inputRoomAvailable() { state.withLock { $0.roomCount += 1 } }
}

struct ConsoleFixture {
  let terminal = RecordingConsole()
  let agent = RecordingConsole()
  var guest: DeviceFixture<ConsoleDevice>

  init(isMultiport: Bool = true) throws {
    guest = try DeviceFixture(
      ConsoleDevice(ports: [
        ConsolePort(isConsole: true, sink: terminal),
        ConsolePort(name: "agent.0", isConsole: false, sink: agent),
      ]), features: isMultiport ? 0b11 : 0)
    if isMultiport { try guest.give(2, count: 12) }
  }

  mutating func say(_ event: ConsoleMessage.Event, port: UInt32, value: UInt16 = 1) throws {
    try guest.send(3, ConsoleMessage(port: port, event, value: value).bytes)
  }

  /// The messages that the guest got since, with fresh buffers for more.
  mutating func messages() throws -> [ConsoleMessage] {
    let used = try guest.takeUsed(2)
    try guest.give(2, count: used.count)
    return try used.map { bytes in
      var message = try #require(ConsoleMessage(bytes))
      message.data = Array(bytes.dropFirst(ConsoleMessage.byteCount))
      return message
    }
  }

  /// What Linux says when its driver starts.
  mutating func introduce() throws {
    try say(.deviceReady, port: .max)
    for port: UInt32 in [0, 1] { try say(.portReady, port: port) }
    try say(.opened, port: 0)
    _ = try messages()
  }

  mutating func type(_ text: String, port: UInt32 = 0) -> Int {
    guest.receive(.console(port: port, bytes: Array(text.utf8)))
  }
}

@Suite struct ConsoleDeviceTests {
  @Test func `the driver finds the ports, their kinds and their names`() throws {
    var fixture = try ConsoleFixture()
    #expect(fixture.guest.core.device.configuration[4] == 2)
    #expect(fixture.guest.core.device.queueSizes.count == 6)
    try fixture.say(.deviceReady, port: .max)
    #expect(
      try fixture.messages() == [
        ConsoleMessage(port: 0, .portAdded), ConsoleMessage(port: 1, .portAdded),
      ])
    try fixture.say(.portReady, port: 0)
    #expect(
      try fixture.messages() == [
        ConsoleMessage(port: 0, .isConsole, value: 1), ConsoleMessage(port: 0, .opened, value: 1),
      ])
    try fixture.say(.portReady, port: 1)
    #expect(
      try fixture.messages() == [
        ConsoleMessage(port: 1, .name, value: 1, data: Array("agent.0".utf8)),
        ConsoleMessage(port: 1, .opened, value: 1),
      ])
  }

  @Test func `bytes go both ways on each port`() throws {
    var fixture = try ConsoleFixture()
    try fixture.introduce()
    try fixture.say(.opened, port: 1)
    try fixture.guest.give(0, count: 2)
    try fixture.guest.give(4, count: 2)
    #expect(fixture.type("login") == 5)
    #expect(fixture.type("question", port: 1) == 8)
    #expect(try fixture.guest.takeUsed(0) == [Array("login".utf8)])
    #expect(try fixture.guest.takeUsed(4) == [Array("question".utf8)])
    try fixture.guest.send(1, Array("$ ".utf8))
    try fixture.guest.send(5, Array("answer".utf8))
    #expect(fixture.terminal.bytes == Array("$ ".utf8))
    #expect(fixture.agent.bytes == Array("answer".utf8))
    #expect(try fixture.guest.takeUsed(1).count == 1)
  }

  @Test func `a driver without multiport has the first port`() throws {
    var fixture = try ConsoleFixture(isMultiport: false)
    #expect(fixture.terminal.roomCount == 1)
    try fixture.guest.give(0, count: 1)
    #expect(fixture.type("x") == 1)
    try fixture.guest.send(1, [65])
    #expect(fixture.terminal.bytes == [65])
  }

  @Test func `input waits for a program that reads, and for buffers`() throws {
    var fixture = try ConsoleFixture()
    try fixture.introduce()
    try fixture.guest.give(4, count: 2, room: 4)
    #expect(fixture.type("question", port: 1) == 0)
    let before = fixture.agent.roomCount
    try fixture.say(.opened, port: 1)
    #expect(fixture.agent.roomCount == before + 1)
    #expect(fixture.type("question?", port: 1) == 8)
    try fixture.guest.give(4, count: 1)
    #expect(fixture.agent.roomCount == before + 2)
    #expect(fixture.type("?", port: 1) == 1)
    try fixture.say(.opened, port: 1, value: 0)
    #expect(fixture.type("gone", port: 1) == 0)
  }

  @Test func `keys typed before the driver is there wait for it`() throws {
    var fixture = try ConsoleFixture()
    fixture.guest.reset()
    #expect(fixture.type("early") == 0)
    let before = fixture.terminal.roomCount
    fixture.guest.start(features: 0)
    #expect(fixture.terminal.roomCount == before + 1)
  }

  @Test func `a slow terminal gets every byte in order, and the buffer comes back after`() throws {
    var fixture = try ConsoleFixture()
    try fixture.introduce()
    fixture.terminal.setRoom(3)
    try fixture.guest.send(1, Array("hello ".utf8))
    try fixture.guest.send(1, Array("world".utf8))
    #expect(try fixture.guest.takeUsed(1) == [])
    fixture.terminal.setRoom(5)
    _ = fixture.guest.receive(.consoleRoom(port: 0))
    #expect(try fixture.guest.takeUsed(1).count == 1)
    fixture.terminal.setRoom(.max)
    _ = fixture.guest.receive(.consoleRoom(port: 0))
    #expect(try fixture.guest.takeUsed(1).count == 1)
    #expect(fixture.terminal.bytes == Array("hello world".utf8))
  }

  @Test func `the terminal's size reaches the guest, the last one only`() throws {
    var fixture = try ConsoleFixture()
    fixture.guest.reset()
    _ = fixture.guest.receive(.consoleSize(port: 0, columns: 132, rows: 43))
    #expect(Array(fixture.guest.core.device.configuration.prefix(4)) == [132, 0, 43, 0])
    fixture.guest.start(features: 0b11)
    try fixture.guest.give(2, count: 12)
    try fixture.say(.deviceReady, port: .max)
    try fixture.say(.portReady, port: 0)
    _ = try fixture.messages()
    try fixture.say(.opened, port: 0)
    #expect(
      try fixture.messages() == [
        ConsoleMessage(port: 0, .resized, data: [132, 0, 43, 0])
      ])
    // Without buffers for messages sizes do not pile up.
    for _ in 0..<12 { try fixture.say(.portReady, port: 1) }
    for rows: UInt16 in 1...500 {
      _ = fixture.guest.receive(.consoleSize(port: 0, columns: 80, rows: rows))
    }
    var last: [ConsoleMessage] = []
    while case let more = try fixture.messages(), !more.isEmpty { last = more }
    #expect(last.last == ConsoleMessage(port: 0, .resized, data: [80, 0, 0xF4, 1]))
    #expect(fixture.guest.core.takeInterrupts().configuration)
  }

  @Test func `the guest hears who is at the other end of a port`() throws {
    var fixture = try ConsoleFixture()
    fixture.guest.reset()
    _ = fixture.guest.receive(.consoleConnection(port: 1, isConnected: false))
    fixture.guest.start(features: 0b11)
    try fixture.guest.give(2, count: 12)
    try fixture.say(.portReady, port: 1)
    #expect(try fixture.messages().last == ConsoleMessage(port: 1, .opened, value: 0))
    _ = fixture.guest.receive(.consoleConnection(port: 1, isConnected: true))
    #expect(try fixture.messages() == [ConsoleMessage(port: 1, .opened, value: 1)])
    // A port that the driver does not know yet is not spoken of.
    _ = fixture.guest.receive(.consoleConnection(port: 0, isConnected: false))
    #expect(try fixture.messages() == [])
  }

  @Test func `the emergency byte is written without queues`() throws {
    var fixture = try ConsoleFixture()
    fixture.guest.reset()
    for offset in 8..<12 { fixture.guest.core.device.writeConfiguration(33, at: offset) }
    #expect(fixture.terminal.bytes == [33])
  }

  @Test func `a driver that floods with messages waits for the answers`() throws {
    var fixture = try ConsoleFixture()
    var answered = 0
    for _ in 0..<600 where answered < 14 {
      try fixture.say(.deviceReady, port: .max)
      if try fixture.guest.takeUsed(3).isEmpty { answered += 1 }
    }
    #expect(answered == 14)
    #expect(!fixture.guest.needsReset)
    #expect(try fixture.messages().count == 12)
  }

  @Test func `short messages and buffers make the device ask for a reset`() throws {
    var fixture = try ConsoleFixture()
    try fixture.guest.send(3, [0, 0, 0, 0, 0, 0, 1])
    #expect(fixture.guest.needsReset)
    var other = try ConsoleFixture(isMultiport: false)
    try other.guest.offer(0, [1])
    _ = other.type("x")
    #expect(other.guest.needsReset)
  }

  @Test func `random messages and random input never trap`() throws {
    let random = SeededEntropy(seed: 3)
    for _ in 0..<60 {
      var fixture = try ConsoleFixture(isMultiport: random.next() % 4 != 0)
      for _ in 0..<300 {
        switch random.next() % 7 {
        case 0: _ = try? fixture.messages()
        case 1:
          let place = DeviceFixture<ConsoleDevice>.base(Int(random.next() % 6))
          try fixture.guest.memory.store(
            random.next(), at: fixture.guest.at(place + random.next() % 0x3000))
        case 2:
          let bytes = [UInt8](repeating: 0, count: Int(random.next() % 5000))
          _ = fixture.guest.receive(.console(port: UInt32(random.next() % 3), bytes: bytes))
        case 3:
          _ = fixture.guest.receive(.consoleRoom(port: UInt32(random.next() % 3)))
          _ = fixture.guest.receive(
            .consoleConnection(port: UInt32(random.next() % 3), isConnected: random.next() % 2 == 0)
          )
          _ = fixture.guest.receive(
            .consoleSize(port: UInt32(random.next() % 3), columns: 1, rows: 2))
        case 4:
          fixture.terminal.setRoom(Int(random.next() % 5000))
          let bytes = [UInt8](repeating: 1, count: Int(random.next() % 4096))
          try fixture.guest.send(random.next() % 2 == 0 ? 1 : 5, bytes)
        case 5: try fixture.guest.give(Int(random.next() % 3) * 2, count: 1, room: 16)
        default:
          var message = ConsoleMessage(
            port: UInt32(random.next() % 4), .opened, value: UInt16(random.next() % 3))
          message.event = UInt16(random.next() % 10)
          try fixture.guest.send(3, message.bytes)
        }
        if fixture.guest.needsReset {
          fixture.guest.reset()
          fixture.guest.start(features: random.next() % 2 == 0 ? 0 : 0b11)
        }
      }
    }
  }
}
