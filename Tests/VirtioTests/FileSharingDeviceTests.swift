import DeviceModel
import GuestMemory
import MachineTypes
import MartletTesting
import Synchronization
import Testing

@testable import PCIBus
@testable import VirtioDevices

/// A folder that answers when it is told to: a message backwards, with some bytes before it.
final class EchoFolder: FileSharingBackend {
  private struct State: Sendable {
    var waiting: [@Sendable () -> Void] = []
    var requests: [[UInt8]] = []
    var limits: [Int] = []
    var resetCount = 0
  }

  private let state = Mutex(State())
  var requests: [[UInt8]] { state.withLock { $0.requests } }
  var limits: [Int] { state.withLock { $0.limits } }
  var waitingCount: Int { state.withLock { $0.waiting.count } }
  var resetCount: Int { state.withLock { $0.resetCount } }

  func submit(
    _ request: [UInt8], replyLimit: Int, completion: @escaping @Sendable ([UInt8]) -> Void
  ) {
    // What begins with 2 has no answer.
    let reply =
      request.first == 2 ? [] : Array(([0xA0, 0xA1] + request.reversed()).prefix(replyLimit))
    state.withLock {
      $0.requests.append(request)
      $0.limits.append(replyLimit)
      $0.waiting.append { completion(reply) }
    }
  }

  func finishAll() {
    let waiting = state.withLock { state in
      defer { state.waiting = [] }
      return state.waiting
    }
    for completion in waiting { completion() }
  }

  func reset() { state.withLock { $0.resetCount += 1 } }
  func close() {}
}

/// A file system behind a PCI function, driven as a driver would.
struct FolderFixture {
  var driver: Driver
  let folder = EchoFolder()
  var device: VirtioPCI<FileSharingDevice>
  let line = RecordingLine()
  let inputs = DiskFixture.Inputs()

  init(tag: String = "work") throws {
    driver = try Driver()
    let connector = PCIConnector(messageCount: 3, line: line, sink: RecordingMessageSink())
    connector.commandChanged(isBusMaster: true, isLineDisabled: false)
    device = VirtioPCI(
      FileSharingDevice(folder, tag: tag) { [inputs] in inputs.add($0) }, memory: driver.memory,
      connector: connector)
  }

  mutating func set(_ value: UInt64, at offset: UInt64, _ width: AccessWidth) throws {
    _ = try device.write(value, to: offset, width: width)
  }

  mutating func get(_ offset: UInt64, _ width: AccessWidth) throws -> UInt64 {
    try device.read(from: offset, width: width)
  }

  /// Starts the device with one of its queues.
  mutating func start(queue: UInt64) throws {
    for status: UInt64 in [1, 3] { try set(status, at: 20, .byte) }
    try set(1, at: 8, .doubleword)
    try set(1, at: 12, .doubleword)  // VERSION_1
    try set(11, at: 20, .byte)
    try set(queue, at: 22, .word)
    try set(8, at: 24, .word)
    for (offset, area): (UInt64, UInt64) in [
      (32, Driver.descriptors), (40, Driver.available), (48, Driver.used),
    ] {
      try set(area, at: offset, .doubleword)
      try set(0, at: offset + 4, .doubleword)
    }
    try set(1, at: 28, .word)
    try set(15, at: 20, .byte)
  }

  /// Offers a message at descriptor `head`, with two writable parts of `room` bytes in all.
  mutating func offer(_ message: [UInt8], room: UInt32, queue: UInt64 = 1) throws {
    try driver.memory.write(message, at: driver.at(0x8000))
    let flags: UInt16 = room > 0 ? 1 : 0
    try driver.write(
      .init(address: 0x8000, length: UInt32(message.count), flags: flags, next: 1), 0)
    try driver.write(.init(address: 0x9000, length: min(3, room), flags: 3, next: 2), 1)
    try driver.write(.init(address: 0xA000, length: room - min(3, room), flags: 2), 2)
    try driver.offer(0, size: 8)
    try set(0, at: 0x3000 + 4 * queue, .word)
  }

  mutating func deliver() {
    for input in inputs.take() { _ = device.receive(input) }
  }

  /// The used ring: how many buffers came back, and how much the last of them holds.
  func used() throws -> (count: UInt16, written: UInt32) {
    let count: UInt16 = try driver.memory.load(at: driver.at(Driver.used + 2))
    let slot = UInt64((count &- 1) % 8)
    return (count, try driver.memory.load(at: driver.at(Driver.used + 8 + 8 * slot)))
  }
}

@Suite struct FileSharingDeviceTests {
  @Test func `the driver finds the tag and one queue for requests`() throws {
    var fixture = try FolderFixture()
    #expect(fixture.device.identity.device == 0x1040 + 26)
    let text = try (0..<6).map { UInt8(try fixture.get(0x2000 + $0, .byte)) }
    #expect(text == Array("work".utf8) + [0, 0])
    let queueCount = try fixture.get(0x2000 + 36, .doubleword)
    #expect(queueCount == 1)
    let allQueues = try fixture.get(18, .word)
    #expect(allQueues == 2)
    var long = try FolderFixture(tag: String(repeating: "x", count: 50))
    let last = try long.get(0x2000 + 35, .byte)
    let count = try long.get(0x2000 + 36, .doubleword)
    #expect(last == UInt64(UInt8(ascii: "x")) && count == 1)
  }

  @Test func `an answer goes where there is room for it`() throws {
    var fixture = try FolderFixture()
    try fixture.start(queue: 1)
    try fixture.offer([1, 7, 8, 9], room: 20)
    #expect(fixture.folder.requests == [[1, 7, 8, 9]])
    #expect(fixture.folder.limits == [20])
    #expect(try fixture.used().count == 0)
    fixture.folder.finishAll()
    let inputs = fixture.inputs.take()
    #expect(inputs == [.fileReply(request: 0, bytes: [0xA0, 0xA1, 9, 8, 7, 1])])
    // As a replay would hand it in.
    for input in inputs { _ = fixture.device.receive(input) }
    #expect(try fixture.used() == (1, 6))
    #expect(fixture.line.isAsserted)
    let memory = fixture.driver.memory
    #expect(try memory.bytes(at: fixture.driver.at(0x9000), count: 3) == [0xA0, 0xA1, 9])
    #expect(try memory.bytes(at: fixture.driver.at(0xA000), count: 3) == [8, 7, 1])
  }

  @Test func `a message without answer comes back empty`() throws {
    var fixture = try FolderFixture()
    try fixture.start(queue: 0)
    try fixture.offer([2, 3], room: 0, queue: 0)
    fixture.folder.finishAll()
    fixture.deliver()
    #expect(try fixture.used() == (1, 0))
  }

  @Test func `a reset reaches the folder, and what comes late is dropped`() throws {
    var fixture = try FolderFixture()
    try fixture.start(queue: 1)
    try fixture.offer([1], room: 9)
    fixture.folder.finishAll()
    try fixture.set(0, at: 20, .byte)
    #expect(fixture.folder.resetCount == 1)
    try fixture.driver.memory.clear(fixture.driver.at(Driver.available), byteCount: 0x3000)
    fixture.driver.availableIndex = 0
    try fixture.start(queue: 1)
    fixture.deliver()
    #expect(try fixture.used().count == 0)
    try fixture.offer([1], room: 9)
    fixture.folder.finishAll()
    fixture.deliver()
    #expect(try fixture.used() == (1, 3))
  }

  @Test func `the queue waits while too much is under way, and goes on after`() throws {
    var fixture = try FolderFixture()
    try fixture.start(queue: 1)
    // A mebibyte of room each: the device asks for no more than 16 at a time.
    try fixture.driver.memory.store(UInt8(2), at: fixture.driver.at(0x8000))
    try fixture.driver.write(.init(address: 0x8000, length: 1, flags: 1, next: 1), 0)
    try fixture.driver.write(.init(address: 0, length: 1 << 20, flags: 2), 1)
    for _ in 0..<20 {
      try fixture.driver.offer(0, size: 8)
      try fixture.set(0, at: 0x3004, .word)
    }
    #expect(fixture.folder.waitingCount == 16)
    fixture.folder.finishAll()
    fixture.deliver()
    #expect(fixture.folder.requests.count == 20)
    fixture.folder.finishAll()
    fixture.deliver()
    #expect(try fixture.used().count == 20)
  }

  @Test func `random registers and random memory never trap`() throws {
    let random = SeededEntropy(seed: 26)
    for _ in 0..<40 {
      var fixture = try FolderFixture()
      if random.next() % 4 != 0 { try fixture.start(queue: random.next() % 2) }
      for _ in 0..<400 {
        let value = random.next() >> (random.next() % 64)
        let width = AccessWidth.allCases[Int(random.next() % 4)]
        switch random.next() % 6 {
        case 0:
          let place = GuestPhysicalAddress(rawValue: 0x1000 + random.next() % 0x8000)
          try fixture.driver.memory.store(value, at: place)
        case 1: _ = try? fixture.device.read(from: random.next() % 0x4000, width: width)
        case 2: try? fixture.set(value, at: random.next() % 64, width)
        case 3: try? fixture.set(0, at: 0x3000 + 4 * (random.next() % 2), .word)
        case 4: try? fixture.driver.offer(UInt16(random.next() % 9), size: 8)
        default: fixture.deliver()
        }
        // A reset waits for what the folder is at work on.
        fixture.folder.finishAll()
        _ = fixture.device.receive(.fileReply(request: random.next() % 9, bytes: [1, 2, 3]))
      }
    }
  }
}
