import GuestMemory
import MachineTypes
import MartletTesting
import Testing

@testable import VirtioDevices

@Suite struct VirtQueueTests {
  @Test func `a split queue gives a chain and takes it back`() throws {
    var driver = try Driver()
    var queue = driver.queue(size: 8)
    try driver.write(.init(address: 0x8000, length: 16, flags: 1, next: 5), 2)
    try driver.write(.init(address: 0x9000, length: 512, flags: 3, next: 7), 5)
    try driver.write(.init(address: 0xA000, length: 1, flags: 2), 7)
    try driver.offer(2, size: 8)
    let taken = try queue.next(driver.memory)
    let chain = try #require(taken)
    #expect(chain.readable.byteCount == 16)
    #expect(chain.writable.ranges.map(\.byteCount) == [512, 1])
    let isDrained = try isEmpty(&queue, driver)
    #expect(isDrained)
    try queue.complete([(chain, 513)], driver.memory)
    let index: UInt16 = try driver.memory.load(at: driver.at(Driver.used + 2))
    let entry: UInt64 = try driver.memory.load(at: driver.at(Driver.used + 4))
    #expect(index == 1)
    #expect(entry == 513 << 32 | 2)
    let asked = [queue.takeInterrupt(driver.memory), queue.takeInterrupt(driver.memory)]
    #expect(asked == [true, false])
  }

  @Test func `chains that break the rules are errors`() throws {
    func error(_ set: (inout Driver) throws -> Void, features: UInt64 = 0) throws -> VirtioError? {
      var driver = try Driver()
      var queue = driver.queue(size: 8, features: features)
      try set(&driver)
      do throws(VirtioError) {
        _ = try queue.next(driver.memory)
        return nil
      } catch { return error }
    }
    let error1 = try error {
      try $0.write(.init(address: 0, length: 1, flags: 1, next: 0), 0)
      try $0.offer(0, size: 8)
    }
    #expect(error1 == .chainTooLong)
    let error2 = try error { try $0.offer(8, size: 8) }
    #expect(error2 == .outOfRange)
    let error3 = try error {
      try $0.write(.init(address: 0, length: 1, flags: 3, next: 1), 0)
      try $0.write(.init(address: 0, length: 1, flags: 0), 1)
      try $0.offer(0, size: 8)
    }
    #expect(error3 == .wrongOrder)
    let error4 = try error {
      try $0.memory.store(UInt16(9), at: $0.at(Driver.available + 2))
    }
    #expect(error4 == .outOfRange)
    let error5 = try error {
      try $0.write(.init(address: 0x8000, length: 16, flags: 4), 0)
      try $0.offer(0, size: 8)
    }
    #expect(error5 == .badIndirect)
    let error6 = try error(
      {
        try $0.write(.init(address: 0x8000, length: 32, flags: 4), 0)
        try $0.write(.init(address: 0x8000, length: 16, flags: 4), 0, table: 0x8000)
        try $0.offer(0, size: 8)
      }, features: VirtioFeature.ringIndirect)
    #expect(error6 == .badIndirect)
    let error7 = try error(
      {
        try $0.write(.init(address: ~0 - 15, length: 32, flags: 4), 0)
        try $0.offer(0, size: 8)
      }, features: VirtioFeature.ringIndirect)
    #expect(error7 == .notMemory)
    var queue = VirtQueue(maximumSize: 8)
    queue.driverArea = 1 << 40
    queue.start(features: 0)
    let driver = try Driver()
    do throws(VirtioError) {
      _ = try queue.next(driver.memory)
      Issue.record("a ring outside of RAM")
    } catch { #expect(error == .notMemory) }
  }

  @Test func `an indirect table is one buffer`() throws {
    var driver = try Driver()
    var queue = driver.queue(size: 8, features: VirtioFeature.ringIndirect)
    try driver.write(.init(address: 0x8000, length: 48, flags: 4), 3)
    try driver.write(.init(address: 0x9000, length: 10, flags: 1, next: 2), 0, table: 0x8000)
    try driver.write(.init(address: 0xA000, length: 20, flags: 2), 2, table: 0x8000)
    try driver.offer(3, size: 8)
    let taken = try queue.next(driver.memory)
    let chain = try #require(taken)
    #expect(chain.readable.byteCount == 10)
    #expect(chain.writable.byteCount == 20)
    #expect(chain.identifier == 3)
  }

  @Test func `with the event index, interrupts come when the driver's mark is passed`() throws {
    var driver = try Driver()
    var queue = driver.queue(size: 8, features: VirtioFeature.ringEventIndex)
    try driver.write(.init(address: 0x8000, length: 4, flags: 2), 0)
    try driver.memory.store(UInt16(2), at: driver.at(Driver.available + 4 + 16))
    var asked: [Bool] = []
    for _ in 0..<4 {
      try driver.offer(0, size: 8)
      let taken = try queue.next(driver.memory)
      let chain = try #require(taken)
      try queue.complete([(chain, 4)], driver.memory)
      asked.append(queue.takeInterrupt(driver.memory))
    }
    #expect(asked == [false, false, true, false])
    // The device asks for a notification of the fifth buffer.
    let isDrained = try isEmpty(&queue, driver)
    #expect(isDrained)
    let event: UInt16 = try driver.memory.load(at: driver.at(Driver.used + 4 + 64))
    #expect(event == 4)
  }

  @Test func `a packed queue of five goes around many times`() throws {
    let driver = try Driver()
    var queue = driver.queue(size: 5, features: VirtioFeature.ringPacked)
    var position: UInt64 = 0
    var wrap = true
    var usedPosition: UInt64 = 0
    var usedWrap = true
    for round in 0..<40 {
      // A chain of two: the first entry is made available last.
      var entries: [(UInt64, UInt16)] = []
      for part in 0..<2 {
        let flags: UInt16 = (wrap ? 1 << 7 : 1 << 15) | (part == 0 ? 1 : 2)
        let place = Driver.descriptors + 16 * position
        try driver.memory.store(UInt64(0x8000 + part * 0x100), at: driver.at(place))
        try driver.memory.store(UInt32(64), at: driver.at(place + 8))
        try driver.memory.store(UInt16(round), at: driver.at(place + 12))
        entries.append((place, flags))
        position += 1
        if position == 5 {
          position = 0
          wrap.toggle()
        }
      }
      for (place, flags) in entries.reversed() {
        try driver.memory.store(flags, at: driver.at(place + 14))
      }
      let taken = try queue.next(driver.memory)
      let chain = try #require(taken, "round \(round)")
      #expect(chain.readable.byteCount == 64)
      #expect(chain.writable.byteCount == 64)
      let isDrained = try isEmpty(&queue, driver)
      #expect(isDrained)
      if round % 3 == 0 {
        queue.putBack(chain)
        let again = try queue.next(driver.memory)
        #expect(again == chain)
      }
      try queue.complete([(chain, 7)], driver.memory)
      let place = Driver.descriptors + 16 * usedPosition
      let written: UInt32 = try driver.memory.load(at: driver.at(place + 8))
      let flags: UInt16 = try driver.memory.load(at: driver.at(place + 14))
      #expect(written == 7)
      #expect((flags >> 7 & 1 == 1) == usedWrap)
      #expect((flags >> 15 == 1) == usedWrap)
      let isAsked = queue.takeInterrupt(driver.memory)
      #expect(isAsked)
      usedPosition += 2
      if usedPosition >= 5 {
        usedPosition -= 5
        usedWrap.toggle()
      }
    }
  }

  @Test(arguments: [UInt64(0), VirtioFeature.ringPacked])
  func `what was taken before a reset does not come back`(features: UInt64) throws {
    var driver = try Driver()
    var queue = driver.queue(size: 8, features: features)
    for number: UInt64 in 0..<8 {
      let flags: UInt16 = features == 0 ? 0 : 1 << 7
      try driver.write(
        .init(
          address: 0x9000, length: 16, flags: flags | (number < 7 ? 1 : 0), next: UInt16(number) + 1
        ), number)
      if features != 0 {
        // Packed: identifier, then flags.
        try driver.memory.store(UInt16(0), at: driver.at(Driver.descriptors + 16 * number + 12))
        try driver.memory.store(
          flags | (number < 7 ? 1 : 0), at: driver.at(Driver.descriptors + 16 * number + 14))
      }
    }
    try driver.offer(0, size: 8)
    let taken = try queue.next(driver.memory)
    let chain = try #require(taken)
    #expect(chain.readable.ranges.count == 8)
    queue.reset()
    queue.size = 1
    queue.descriptors = Driver.descriptors
    queue.driverArea = Driver.available
    queue.deviceArea = Driver.used
    queue.start(features: features)
    let before = try driver.memory.bytes(at: driver.at(Driver.descriptors), count: 0x6000)
    for _ in 0..<20_000 { try queue.complete([(chain, 1)], driver.memory) }
    #expect(try driver.memory.bytes(at: driver.at(Driver.descriptors), count: 0x6000) == before)
    let interrupts = queue.takeInterrupt(driver.memory)
    #expect(!interrupts)
  }

  @Test func `whatever memory holds, a queue neither traps nor runs on`() throws {
    let random = SeededEntropy(seed: 4)
    let memory = try GuestRAM(byteCount: 64 << 10)
    for round in 0..<3000 {
      for _ in 0..<64 {
        try memory.store(
          random.next(), at: GuestPhysicalAddress(rawValue: random.next() % (64 << 10 - 8)))
      }
      var queue = VirtQueue(maximumSize: 256)
      queue.size = UInt16(1) << UInt16(random.next() % 9)
      queue.descriptors = random.next() % (72 << 10)
      queue.driverArea = round % 9 == 0 ? random.next() : random.next() % (60 << 10)
      queue.deviceArea = random.next() % (72 << 10)
      queue.start(features: random.next())
      for _ in 0..<64 {
        guard let chain = try? queue.next(memory) else { break }
        #expect(chain.readable.ranges.count + chain.writable.ranges.count <= 256)
        try? queue.complete([(chain, UInt32(truncatingIfNeeded: random.next()))], memory)
        _ = queue.takeInterrupt(memory)
      }
    }
  }
}

private func isEmpty(_ queue: inout VirtQueue, _ driver: Driver) throws -> Bool {
  try queue.next(driver.memory) == nil
}
