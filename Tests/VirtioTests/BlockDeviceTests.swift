import DeviceModel
import GuestMemory
import HostSystem
import MachineTypes
import MartletTesting
import Synchronization
import Testing

@testable import PCIBus
@testable import VirtioDevices

/// A disk in memory that finishes requests when it is told to.
final class MemoryDisk: BlockBackend {
  private struct State: Sendable {
    var waiting: [@Sendable () -> Void] = []
    var flushCount = 0
  }

  let contents: MemorySegments
  let isReadOnly: Bool
  /// Requests are held back as by a limit.
  let isHeld = Mutex(false)
  private let state = Mutex(State())

  init(byteCount: Int, isReadOnly: Bool = false) {
    contents = MemorySegments(zeroed: byteCount)
    self.isReadOnly = isReadOnly
  }

  var byteCount: UInt64 { UInt64(contents.byteCount) }
  var blockByteCount: UInt32 { 512 }
  var preferredByteCount: UInt32 { 4096 }
  var canDiscard: Bool { true }
  var flushCount: Int { state.withLock { $0.flushCount } }

  func submit(
    _ request: BlockRequest,
    completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    switch request {
    case .read(let offset, let buffer):
      buffer.write(contents.bytes(from: Int(offset), count: buffer.byteCount))
    case .write(let offset, let buffer, _): contents.write(buffer.bytes(), at: Int(offset))
    case .flush: state.withLock { $0.flushCount += 1 }
    case .discard(let offset, let count), .writeZeroes(let offset, let count, _):
      contents.clear(from: Int(offset), count: Int(count))
    }
    state.withLock { $0.waiting.append { completion(.success(())) } }
  }

  func dropWaiting() -> Int {
    guard isHeld.withLock({ $0 }) else { return 0 }
    return state.withLock { state in
      defer { state.waiting = [] }
      return state.waiting.count
    }
  }

  func finishAll() {
    let waiting = state.withLock { state in
      defer { state.waiting = [] }
      return state.waiting
    }
    for completion in waiting { completion() }
  }

  func close() throws(BlockError) {}
}

/// A disk behind a PCI function, driven as a driver would.
struct DiskFixture {
  var driver: Driver
  let disk: MemoryDisk
  var device: VirtioPCI<BlockDevice>
  let sink = RecordingMessageSink()
  let line = RecordingLine()
  let connector: PCIConnector
  let inputs = Inputs()

  final class Inputs: Sendable {
    private let received = Mutex<[DeviceInput]>([])
    func add(_ input: DeviceInput) { received.withLock { $0.append(input) } }
    func take() -> [DeviceInput] {
      received.withLock { all in
        defer { all = [] }
        return all
      }
    }
  }

  init(isReadOnly: Bool = false) throws {
    driver = try Driver()
    disk = MemoryDisk(byteCount: 1 << 20, isReadOnly: isReadOnly)
    connector = PCIConnector(messageCount: 2, line: line, sink: sink)
    connector.commandChanged(isBusMaster: true, isLineDisabled: false)
    device = VirtioPCI(
      BlockDevice(disk, serialNumber: "number one") { [inputs] in inputs.add($0) },
      memory: driver.memory, connector: connector)
  }

  mutating func set(_ value: UInt64, at offset: UInt64, _ width: AccessWidth) throws {
    _ = try device.write(value, to: offset, width: width)
  }

  mutating func get(_ offset: UInt64, _ width: AccessWidth) throws -> UInt64 {
    try device.read(from: offset, width: width)
  }

  mutating func start() throws {
    for status: UInt64 in [1, 3] { try set(status, at: 20, .byte) }
    try set(1, at: 8, .doubleword)
    try set(1, at: 12, .doubleword)  // VERSION_1
    try set(11, at: 20, .byte)
    #expect(try get(20, .byte) == 11)
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

  /// One request; returns its status byte after the disk has finished.
  mutating func request(
    _ kind: UInt32, sector: UInt64 = 0, data: UInt32 = 0, isRead: Bool = false
  ) throws -> UInt8 {
    let memory = driver.memory
    try memory.store(UInt64(kind), at: driver.at(0x8000))
    try memory.store(sector, at: driver.at(0x8008))
    try memory.store(UInt8(0xEE), at: driver.at(0xF000))
    try driver.write(.init(address: 0x8000, length: 16, flags: 1, next: data > 0 ? 1 : 2), 0)
    try driver.write(
      .init(address: 0x9000, length: data, flags: isRead ? 3 : 1, next: 2), 1)
    try driver.write(.init(address: 0xF000, length: 1, flags: 2), 2)
    try driver.offer(0, size: 8)
    try set(0, at: 0x3000, .word)
    disk.finishAll()
    for input in inputs.take() { _ = device.receive(input) }
    return try memory.load(at: driver.at(0xF000))
  }
}

@Suite struct BlockDeviceTests {
  @Test func `what is written is read again`() throws {
    var fixture = try DiskFixture()
    try fixture.start()
    try fixture.driver.memory.write(
      [UInt8](repeating: 0x5A, count: 1024), at: fixture.driver.at(0x9000))
    let answer1 = try fixture.request(1, sector: 3, data: 1024)
    #expect(answer1 == 0)
    #expect(fixture.disk.contents.bytes(from: 3 * 512, count: 1024).allSatisfy { $0 == 0x5A })
    #expect(fixture.line.isAsserted)
    let answer2 = try fixture.get(0x1000, .byte)
    #expect(answer2 == 1)
    #expect(!fixture.line.isAsserted)
    try fixture.driver.memory.clear(fixture.driver.at(0x9000), byteCount: 1024)
    let answer3 = try fixture.request(0, sector: 4, data: 512, isRead: true)
    #expect(answer3 == 0)
    let byte: UInt8 = try fixture.driver.memory.load(at: fixture.driver.at(0x9000))
    #expect(byte == 0x5A)
    let answer4 = try fixture.request(4)
    #expect(answer4 == 0)
    #expect(fixture.disk.flushCount == 1)
    let answer5 = try fixture.request(8, data: 20, isRead: true)
    #expect(answer5 == 0)
    let serial = try fixture.driver.memory.bytes(at: fixture.driver.at(0x9000), count: 10)
    #expect(serial == Array("number one".utf8))
  }

  @Test func `requests beyond the disk or of an unknown kind fail`() throws {
    var fixture = try DiskFixture()
    try fixture.start()
    let answer6 = try fixture.request(0, sector: 2048, data: 512, isRead: true)
    #expect(answer6 == 1)
    let answer7 = try fixture.request(0, sector: .max, data: 512, isRead: true)
    #expect(answer7 == 1)
    let answer8 = try fixture.request(1, sector: 2047, data: 1024)
    #expect(answer8 == 1)
    let answer9 = try fixture.request(1, sector: 0, data: 100)
    #expect(answer9 == 1)
    let answer10 = try fixture.request(99)
    #expect(answer10 == 2)
    let answer11 = try fixture.get(20, .byte)
    #expect(answer11 == 15)
  }

  @Test func `a read-only disk takes no writes`() throws {
    var fixture = try DiskFixture(isReadOnly: true)
    try fixture.start()
    let answer12 = try fixture.get(4, .doubleword)
    #expect(answer12 & 1 << 5 != 0)
    let answer13 = try fixture.request(1, data: 512)
    #expect(answer13 == 1)
    let answer14 = try fixture.request(0, data: 512, isRead: true)
    #expect(answer14 == 0)
  }

  @Test func `a disk that grew tells its driver, and the new blocks are there`() throws {
    var fixture = try DiskFixture()
    // Before there is a driver, too.
    #expect(fixture.device.receive(.blockResize(byteCount: 1 << 19)) == 1)
    #expect(!fixture.line.isAsserted)
    #expect(try fixture.get(0x2000, .doubleword) == 1024)
    try fixture.start()
    let beyond = try fixture.request(0, sector: 1024, data: 512, isRead: true)
    #expect(beyond == 1)
    let generation = try fixture.get(21, .byte)
    _ = try fixture.get(0x1000, .byte)
    #expect(fixture.device.receive(.blockResize(byteCount: 1 << 20)) == 1)
    #expect(fixture.line.isAsserted)
    #expect(try fixture.get(0x1000, .byte) == 2)
    #expect(try fixture.get(21, .byte) != generation)
    #expect(try fixture.get(0x2000, .doubleword) == 2048)
    let within = try fixture.request(0, sector: 1024, data: 512, isRead: true)
    #expect(within == 0)
  }

  @Test func `a reset does not wait for requests that the disk holds back`() throws {
    var fixture = try DiskFixture()
    try fixture.start()
    fixture.disk.isHeld.withLock { $0 = true }
    let memory = fixture.driver.memory
    try memory.store(UInt64(4), at: fixture.driver.at(0x8000))
    try fixture.driver.write(.init(address: 0x8000, length: 16, flags: 1, next: 1), 0)
    try fixture.driver.write(.init(address: 0xF000, length: 1, flags: 2), 1)
    try fixture.driver.offer(0, size: 8)
    try fixture.set(0, at: 0x3000, .word)
    try fixture.set(0, at: 20, .byte)
    #expect(try fixture.get(20, .byte) == 0)
  }

  @Test func `a broken chain makes the device ask for a reset, which heals it`() throws {
    var fixture = try DiskFixture()
    try fixture.start()
    try fixture.driver.offer(200, size: 8)
    try fixture.set(0, at: 0x3000, .word)
    let answer15 = try fixture.get(20, .byte)
    #expect(answer15 == 15 | 64)
    #expect(fixture.line.isAsserted)
    try fixture.set(0, at: 20, .byte)
    let answer16 = try fixture.get(20, .byte)
    #expect(answer16 == 0)
    fixture.driver.availableIndex = 0
    try fixture.driver.memory.store(UInt32(0), at: fixture.driver.at(Driver.available))
    try fixture.driver.memory.store(UInt32(0), at: fixture.driver.at(Driver.used))
    try fixture.start()
    let answer17 = try fixture.request(0, data: 512, isRead: true)
    #expect(answer17 == 0)
  }

  @Test func `without bus mastering nothing is touched`() throws {
    var fixture = try DiskFixture()
    try fixture.start()
    fixture.connector.commandChanged(isBusMaster: false, isLineDisabled: false)
    let answer18 = try fixture.request(0, data: 512, isRead: true)
    #expect(answer18 == 0xEE)
  }

  @Test func `random registers and random memory never trap`() throws {
    let random = SeededEntropy(seed: 9)
    for _ in 0..<60 {
      var fixture = try DiskFixture()
      if random.next() % 4 != 0 { try fixture.start() }
      for _ in 0..<400 {
        let value = random.next() >> (random.next() % 64)
        let width = AccessWidth.allCases[Int(random.next() % 4)]
        switch random.next() % 6 {
        case 0:
          let place = GuestPhysicalAddress(rawValue: 0x1000 + random.next() % 0x8000)
          try fixture.driver.memory.store(value, at: place)
        case 1: _ = try? fixture.device.read(from: random.next() % 0x4000, width: width)
        case 2: try? fixture.set(value, at: random.next() % 64, width)
        case 3: try? fixture.set(0, at: 0x3000, .word)
        case 4: try? fixture.driver.offer(UInt16(random.next() % 9), size: 8)
        default:
          fixture.disk.finishAll()
          for input in fixture.inputs.take() { _ = fixture.device.receive(input) }
        }
        // A reset waits for what the disk is at work on.
        fixture.disk.finishAll()
      }
    }
  }
}
