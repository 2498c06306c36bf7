import DeviceModel
import GuestMemory
import MachineTypes
import MartletTesting
import Testing

@testable import VirtioDevices

struct BalloonFixture {
  static let all: UInt64 = 0b110110
  let clock = FakeClock()
  var guest: DeviceFixture<BalloonDevice>

  init(features: UInt64 = all, change: (inout BalloonDevice.Options) -> Void = { _ in }) throws {
    var options = BalloonDevice.Options()
    options.targetPageCount = 300
    options.statisticsInterval = 5_000_000_000
    change(&options)
    guest = try DeviceFixture(BalloonDevice(options, clock: clock), features: features)
  }

  var device: BalloonDevice { guest.core.device }

  mutating func hand(_ pages: [UInt32], queue: Int = 0) throws {
    try guest.send(queue, pages.flatMap(littleEndianBytes))
  }

  static func statistics(_ values: [(tag: UInt16, value: UInt64)]) -> [UInt8] {
    values.flatMap { littleEndianBytes($0.tag) + littleEndianBytes($0.value) }
  }

  /// Fills pages, and later tells which of them are empty.
  func fill(_ pages: ClosedRange<UInt64>) throws {
    for page in pages {
      try guest.memory.write([UInt8](repeating: 7, count: 4096), at: guest.at(4096 * page))
    }
  }

  func emptyPages(in pages: ClosedRange<UInt64>) throws -> [UInt64] {
    try pages.filter { page in
      try guest.memory.bytes(at: guest.at(4096 * page), count: 4096).allSatisfy { $0 == 0 }
    }
  }
}

private func littleEndianBytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
  stride(from: 0, to: T.bitWidth, by: 8).map { UInt8(truncatingIfNeeded: value >> T($0)) }
}

@Suite struct BalloonDeviceTests {
  @Test func `the driver finds the target and says what it handed in`() throws {
    var fixture = try BalloonFixture()
    #expect(fixture.guest.core.offeredFeatures & BalloonFixture.all == BalloonFixture.all)
    #expect(Array(fixture.device.configuration.prefix(8)) == [44, 1, 0, 0, 0, 0, 0, 0])
    for (offset, byte) in [4: 0x2C, 5: 1, 6: 0, 7: 0] as [Int: UInt8] {
      fixture.guest.core.device.writeConfiguration(byte, at: offset)
    }
    #expect(fixture.device.actualPageCount == 300)
    let generation = fixture.guest.core.configurationGeneration
    _ = fixture.guest.receive(.balloonTarget(pageCount: 0x0203))
    #expect(Array(fixture.device.configuration.prefix(4)) == [3, 2, 0, 0])
    _ = fixture.guest.core.takeInterrupts()
    #expect(fixture.guest.core.configurationGeneration == generation + 1)
  }

  @Test func `pages that are handed in are empty afterwards, and no others`() throws {
    var fixture = try BalloonFixture()
    try fixture.fill(1500...1600)
    try fixture.hand([1510, 1509, 1511, 1590, 1509])
    #expect(try fixture.guest.takeUsed(0).count == 1)
    #expect(try fixture.emptyPages(in: 1500...1600) == [1509, 1510, 1511, 1590])
    try fixture.hand([1509], queue: 1)
    #expect(try fixture.guest.takeUsed(1).count == 1)
  }

  @Test func `code in pages that are handed in is forgotten`() throws {
    var fixture = try BalloonFixture()
    let tracker = fixture.guest.memory.codeTracker
    var attention: UInt32 = 0
    let before = tracker.registerCode(mappingOffset: 1510 << 12, byteCount: 16, by: &attention)
    try fixture.hand([1510])
    #expect(tracker.versions[1510] != before.version)
  }

  @Test(arguments: [[UInt32.max], [2048], [2040, 2041, 5000]])
  func `pages beyond the memory make the device ask for a reset`(pages: [UInt32]) throws {
    var fixture = try BalloonFixture()
    try fixture.hand(pages)
    #expect(fixture.guest.needsReset)
  }

  @Test func `statistics are asked for by the machine's clock`() throws {
    var fixture = try BalloonFixture()
    #expect(fixture.guest.core.nextDeadline == nil)
    try fixture.guest.send(2, BalloonFixture.statistics([(4, 1000), (5, 2 << 32), (99, 1)]))
    #expect(fixture.device.statistics?.free == 1000)
    #expect(fixture.device.statistics?.total == 2 << 32)
    #expect(fixture.device.statistics?.available == nil)
    #expect(try fixture.guest.takeUsed(2).isEmpty)
    #expect(fixture.guest.core.nextDeadline == VirtualInstant(nanoseconds: 5_000_000_000))
    fixture.clock.advance(seconds: 4)
    fixture.guest.core.advance()
    #expect(try fixture.guest.takeUsed(2).isEmpty)
    fixture.clock.advance(seconds: 1)
    fixture.guest.core.advance()
    #expect(try fixture.guest.takeUsed(2).count == 1)
    #expect(fixture.guest.core.nextDeadline == nil)
    try fixture.guest.send(2, BalloonFixture.statistics([(4, 900)]))
    #expect(fixture.device.statistics?.free == 900)
    #expect(fixture.device.statistics?.time == VirtualInstant(nanoseconds: 5_000_000_000))
  }

  @Test func `what the driver offered before it was ready is taken when it is`() throws {
    var fixture = try BalloonFixture()
    fixture.guest.reset()
    fixture.guest.prepare(features: BalloonFixture.all)
    try fixture.guest.send(2, BalloonFixture.statistics([(4, 1000)]))
    #expect(fixture.device.statistics == nil)
    fixture.guest.core.writeStatus(15)
    #expect(fixture.device.statistics?.free == 1000)
  }

  @Test func `free pages that are reported are given back`() throws {
    var fixture = try BalloonFixture()
    try fixture.fill(1092...1100)
    // The fourth queue's first buffer.
    #expect(fixture.guest.buffer(3, 0) == 4096 * 272)
    try fixture.fill(272...273)
    try fixture.guest.give(3, count: 1)
    #expect(try fixture.emptyPages(in: 272...273) == [272])
    #expect(fixture.device.reportedPageCount == 1)
    #expect(try fixture.guest.takeUsed(3) == [[]])
  }

  @Test func `without statistics the reports come in their queue`() throws {
    var fixture = try BalloonFixture(features: BalloonFixture.all & ~2)
    try fixture.fill(208...209)
    #expect(fixture.guest.buffer(2, 0) == 4096 * 208)
    try fixture.guest.give(2, count: 1)
    #expect(try fixture.emptyPages(in: 208...209) == [208])
  }

  @Test func `pages with a pattern keep it`() throws {
    var fixture = try BalloonFixture()
    for offset in 12..<16 { fixture.guest.core.device.writeConfiguration(0xAA, at: offset) }
    try fixture.fill(272...272)
    try fixture.guest.give(3, count: 1)
    #expect(try fixture.emptyPages(in: 272...272) == [])
    #expect(try fixture.guest.takeUsed(3) == [[]])
  }

  @Test func `a reset forgets the guest and keeps the target`() throws {
    var fixture = try BalloonFixture()
    _ = fixture.guest.receive(.balloonTarget(pageCount: 9))
    fixture.guest.core.device.writeConfiguration(3, at: 4)
    try fixture.guest.send(2, BalloonFixture.statistics([(4, 1000)]))
    fixture.guest.reset()
    #expect(fixture.device.configuration == [9] + [UInt8](repeating: 0, count: 15))
    #expect(fixture.device.statistics == nil)
    #expect(fixture.guest.core.nextDeadline == nil)
  }

  @Test func `random pages and random queues never trap`() throws {
    let random = SeededEntropy(seed: 5)
    for _ in 0..<60 {
      var fixture = try BalloonFixture(features: random.next() & BalloonFixture.all)
      for _ in 0..<200 {
        let queue = Int(random.next() % 4)
        switch random.next() % 5 {
        case 0:
          let place = DeviceFixture<BalloonDevice>.base(queue) + random.next() % 0x3000
          try fixture.guest.memory.store(random.next(), at: fixture.guest.at(place))
        case 1: try fixture.guest.give(queue, count: 1, room: UInt32(random.next() % 4096) + 1)
        case 2:
          fixture.guest.core.device.writeConfiguration(
            UInt8(random.next() & 255), at: Int(random.next() % 40))
          _ = fixture.guest.receive(.balloonTarget(pageCount: UInt32(random.next() % 999)))
        case 3:
          fixture.clock.advance(seconds: random.next() % 9)
          fixture.guest.core.advance()
        default:
          let pages = (0..<random.next() % 99).map { _ in UInt32(1600 + random.next() % 470) }
          try fixture.hand(pages, queue: queue)
        }
        if fixture.guest.needsReset {
          fixture.guest.reset()
          fixture.guest.start(features: random.next() & BalloonFixture.all)
        }
      }
    }
  }
}
