import DeviceModel
import GuestMemory
import MachineTypes

@testable import VirtioDevices

/// A device with split queues of 16 entries, driven as a driver would. Buffers are one descriptor long, the
/// readable and the writable ones of a queue each at a place of their own.
struct DeviceFixture<Device: VirtioDevice> {
  static var queueSize: UInt16 { 16 }

  let memory: GuestRAM
  var core: VirtioCore<Device>
  private var available: [UInt16]
  private var usedSeen: [UInt16]

  init(_ device: Device, features: UInt64 = 0) throws {
    memory = try GuestRAM(byteCount: 8 << 20)
    core = VirtioCore(device, memory: memory)
    available = Array(repeating: 0, count: device.queueSizes.count)
    usedSeen = available
    start(features: features)
  }

  mutating func start(features: UInt64) {
    prepare(features: features)
    core.writeStatus(15)
  }

  /// Negotiates and sets the queues up.
  mutating func prepare(features: UInt64) {
    core.writeStatus(1)
    core.writeStatus(3)
    core.driverFeatures = features | VirtioFeature.version1
    core.writeStatus(11)
    for number in available.indices {
      try! memory.clear(at(Self.base(number)), byteCount: 0x4000)
      core.queueSelect = UInt16(number)
      core.configureSelected {
        $0.size = Self.queueSize
        $0.descriptors = Self.base(number)
        $0.driverArea = Self.base(number) + 0x1000
        $0.deviceArea = Self.base(number) + 0x2000
      }
      core.enableSelected()
      available[number] = 0
      usedSeen[number] = 0
    }
  }

  mutating func reset() { core.writeStatus(0) }

  var needsReset: Bool { core.status & VirtioStatus.needsReset != 0 }

  static func base(_ queue: Int) -> UInt64 { 0x4_0000 * UInt64(queue + 1) }
  func at(_ address: UInt64) -> GuestPhysicalAddress { GuestPhysicalAddress(rawValue: address) }

  /// Where the buffer of a descriptor is: 4 KiB each.
  func buffer(_ queue: Int, _ descriptor: UInt16) -> UInt64 {
    Self.base(queue) + 0x1_0000 + 0x1000 * UInt64(descriptor)
  }

  /// Makes a descriptor available that the device reads (`bytes`) or writes to (`room`).
  @discardableResult
  mutating func offer(_ queue: Int, _ bytes: [UInt8] = [], room: UInt32 = 0) throws -> UInt16 {
    let number = available[queue] % Self.queueSize
    let place = Self.base(queue) + 16 * UInt64(number)
    let address = buffer(queue, number)
    if room == 0 { try memory.write(bytes, at: at(address)) }
    try memory.store(address, at: at(place))
    try memory.store(room == 0 ? UInt32(bytes.count) : room, at: at(place + 8))
    try memory.store(UInt16(room == 0 ? 0 : 2), at: at(place + 12))
    try memory.store(
      number, at: at(Self.base(queue) + 0x1004 + 2 * UInt64(available[queue] % Self.queueSize)))
    available[queue] &+= 1
    try memory.store(available[queue], at: at(Self.base(queue) + 0x1002))
    return number
  }

  /// Sends a buffer and tells the device.
  mutating func send(_ queue: Int, _ bytes: [UInt8]) throws {
    try offer(queue, bytes)
    core.notify(queue)
  }

  /// Gives the device `count` buffers to write to, and tells it.
  mutating func give(_ queue: Int, count: Int, room: UInt32 = 4096) throws {
    for _ in 0..<count { try offer(queue, room: room) }
    core.notify(queue)
  }

  mutating func receive(_ input: DeviceInput) -> Int { core.receive(input) }

  /// What the device wrote to the buffers that came back since this was last called; empty ones for those that
  /// it only read.
  mutating func takeUsed(_ queue: Int) throws -> [[UInt8]] {
    let end: UInt16 = try memory.load(at: at(Self.base(queue) + 0x2002))
    var result: [[UInt8]] = []
    while usedSeen[queue] != end {
      let place = Self.base(queue) + 0x2004 + 8 * UInt64(usedSeen[queue] % Self.queueSize)
      let number: UInt32 = try memory.load(at: at(place))
      let written: UInt32 = try memory.load(at: at(place + 4))
      result.append(
        try memory.bytes(
          at: at(buffer(queue, UInt16(truncatingIfNeeded: number))), count: Int(written)))
      usedSeen[queue] &+= 1
    }
    return result
  }
}
