import GuestMemory
import MachineTypes

@testable import VirtioDevices

/// A driver's half of one virtqueue in guest memory, split or packed.
struct Driver {
  static let descriptors: UInt64 = 0x1000
  static let available: UInt64 = 0x4000
  static let used: UInt64 = 0x6000

  struct Descriptor {
    var address: UInt64
    var length: UInt32
    /// 1 NEXT, 2 WRITE, 4 INDIRECT
    var flags: UInt16
    var next: UInt16 = 0
  }

  let memory: GuestRAM
  var availableIndex: UInt16 = 0

  init() throws { memory = try GuestRAM(byteCount: 1 << 20) }

  func at(_ address: UInt64) -> GuestPhysicalAddress { GuestPhysicalAddress(rawValue: address) }

  /// A queue of `size` entries with these features, enabled.
  func queue(size: UInt16, features: UInt64 = 0) -> VirtQueue {
    var queue = VirtQueue(maximumSize: 256)
    queue.size = size
    queue.descriptors = Self.descriptors
    queue.driverArea = Self.available
    queue.deviceArea = Self.used
    queue.start(features: features)
    return queue
  }

  func write(_ descriptor: Descriptor, _ number: UInt64, table: UInt64 = descriptors) throws {
    let place = table + 16 * number
    try memory.store(descriptor.address, at: at(place))
    try memory.store(descriptor.length, at: at(place + 8))
    try memory.store(descriptor.flags, at: at(place + 12))
    try memory.store(descriptor.next, at: at(place + 14))
  }

  /// Makes the chain that starts at descriptor `head` available (split).
  mutating func offer(_ head: UInt16, size: UInt16) throws {
    let slot = UInt64(availableIndex % size)
    try memory.store(head, at: at(Self.available + 4 + 2 * slot))
    availableIndex &+= 1
    try memory.store(availableIndex, at: at(Self.available + 2))
  }
}
