import DeviceModel
import GuestMemory
import MachineTypes
import MartletTesting
import Testing

@testable import VirtioDevices

/// An entropy device behind registers in memory, driven as Linux's virtio_mmio would.
struct MMIOFixture {
  var driver: Driver
  let line = RecordingLine()
  var transport: VirtioMMIO<EntropyDevice>

  init() throws {
    driver = try Driver()
    transport = VirtioMMIO(
      EntropyDevice(source: SeededEntropy(seed: 1)), memory: driver.memory, line: line)
  }

  mutating func set(_ value: UInt64, at offset: UInt64) throws {
    _ = try transport.write(value, to: offset, width: .doubleword)
  }

  mutating func get(_ offset: UInt64) throws -> UInt64 {
    try transport.read(from: offset, width: .doubleword)
  }

  mutating func start() throws {
    for status: UInt64 in [1, 3] { try set(status, at: 0x70) }
    try set(1, at: 0x24)
    try set(1, at: 0x20)  // VERSION_1
    try set(11, at: 0x70)
    try set(0, at: 0x30)
    try set(8, at: 0x38)
    for (offset, area): (UInt64, UInt64) in [
      (0x80, Driver.descriptors), (0x90, Driver.available), (0xA0, Driver.used),
    ] {
      try set(area, at: offset)
      try set(0, at: offset + 4)
    }
    try set(1, at: 0x44)
    try set(15, at: 0x70)
  }

  mutating func ask() throws {
    try driver.write(.init(address: 0x9000, length: 16, flags: 2), 0)
    try driver.offer(0, size: 8)
    try set(0, at: 0x50)
  }

  func usedCount() throws -> UInt16 { try driver.memory.load(at: driver.at(Driver.used + 2)) }
}

@Suite struct VirtioMMIOTests {
  @Test func `the driver finds version 2 of a device`() throws {
    var fixture = try MMIOFixture()
    let identity = try [0, 4, 8].map { try fixture.get($0) }
    #expect(identity == [0x7472_6976, 2, 4])
    let features = try fixture.get(0x10)
    try fixture.set(1, at: 0x14)
    let high = try fixture.get(0x10)
    #expect(features | high << 32 == VirtioFeature.all)
    let size = try fixture.get(0x34)
    try fixture.set(1, at: 0x30)
    let none = try fixture.get(0x34)
    #expect(size == 64 && none == 0)
    let noMemory = try fixture.get(0xB0)
    #expect(noMemory == 0xFFFF_FFFF)
  }

  @Test func `a buffer comes back with an interrupt that lasts until it is acknowledged`() throws {
    var fixture = try MMIOFixture()
    try fixture.start()
    try fixture.ask()
    #expect(try fixture.usedCount() == 1)
    #expect(fixture.line.isAsserted)
    let status = try fixture.get(0x60)
    #expect(status == 1)
    try fixture.set(1, at: 0x64)
    #expect(!fixture.line.isAsserted)
  }

  @Test func `a queue that was disabled is silent, and can be set up again`() throws {
    var fixture = try MMIOFixture()
    try fixture.start()
    try fixture.set(0, at: 0x44)
    let ready = try fixture.get(0x44)
    #expect(ready == 0)
    try fixture.ask()
    #expect(try fixture.usedCount() == 0)
    for bad: UInt64 in [0, 3, 128, 0x1_0008] {
      try fixture.set(bad, at: 0x38)
      try fixture.set(1, at: 0x44)
      let ready = try fixture.get(0x44)
      #expect(ready == 0)
    }
  }

  @Test func `a broken chain raises the configuration's interrupt, and a reset heals`() throws {
    var fixture = try MMIOFixture()
    try fixture.start()
    try fixture.driver.offer(200, size: 8)
    try fixture.set(0, at: 0x50)
    let status = try fixture.get(0x70)
    let interrupts = try fixture.get(0x60)
    #expect(status == 15 | 64 && interrupts == 2)
    try fixture.set(0, at: 0x70)
    #expect(!fixture.line.isAsserted)
    fixture.driver.availableIndex = 0
    try fixture.driver.memory.clear(fixture.driver.at(Driver.available), byteCount: 0x3000)
    try fixture.start()
    try fixture.ask()
    #expect(try fixture.usedCount() == 1)
  }

  @Test func `accesses of other widths than the registers' are refused`() throws {
    var fixture = try MMIOFixture()
    #expect(throws: BusError.noSuchRegister) {
      _ = try fixture.transport.read(from: 0, width: .byte)
    }
    #expect(throws: BusError.wrongWidth) {
      _ = try fixture.transport.read(from: 0, width: .quadword)
    }
    #expect(throws: BusError.noSuchRegister) { try fixture.set(1, at: 0xC0) }
    let beyond = try fixture.transport.read(from: 0xFF8, width: .quadword)
    #expect(beyond == 0)
  }

  @Test func `random registers and random memory never trap`() throws {
    let random = SeededEntropy(seed: 42)
    for _ in 0..<60 {
      var fixture = try MMIOFixture()
      if random.next() % 4 != 0 { try fixture.start() }
      for _ in 0..<400 {
        let value = random.next() >> (random.next() % 64)
        let width = AccessWidth.allCases[Int(random.next() % 4)]
        switch random.next() % 5 {
        case 0:
          let place = GuestPhysicalAddress(rawValue: 0x1000 + random.next() % 0x8000)
          try fixture.driver.memory.store(value, at: place)
        case 1: _ = try? fixture.transport.read(from: random.next() % 0x1000, width: width)
        case 2: _ = try? fixture.transport.write(value, to: random.next() % 0x1000, width: width)
        case 3: try? fixture.set(value, at: 4 * (random.next() % 64))
        default: try? fixture.ask()
        }
      }
    }
  }
}
