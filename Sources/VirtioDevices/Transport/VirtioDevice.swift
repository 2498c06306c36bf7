public import DeviceModel
public import GuestMemory
public import MachineTypes

/// A device type behind a transport. Its methods are called one at a time.
public protocol VirtioDevice: Sendable {
  /// The device type's number (virtio 1.2 §5).
  var deviceType: UInt16 { get }
  /// The type's own feature bits that are offered.
  var features: UInt64 { get }
  /// The most entries of each queue: powers of two, 1024 at most.
  var queueSizes: [UInt16] { get }
  /// The device's configuration space as it is now.
  var configuration: [UInt8] { get }

  /// The driver is ready; `features` were agreed on.
  mutating func start(features: UInt64, _ queues: inout VirtioQueues) throws(VirtioError)
  /// The driver says that there may be something in a queue.
  mutating func notify(_ queue: Int, _ queues: inout VirtioQueues) throws(VirtioError)
  /// Something came from outside. Returns how much of it was taken.
  mutating func receive(
    _ input: DeviceInput, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Int
  /// Something came from outside while no driver is there. Returns how much of it was taken, to be dropped.
  mutating func dismiss(_ input: DeviceInput) -> Int
  mutating func writeConfiguration(_ value: UInt8, at offset: Int)
  /// When `advance` next has something to do; `nil` for not at all.
  var nextDeadline: VirtualInstant? { get }
  /// Does what is due by now.
  mutating func advance(_ queues: inout VirtioQueues) throws(VirtioError)
  /// Back to power-on; whatever is on its way to guest memory is waited for.
  mutating func reset()
}

extension VirtioDevice {
  public mutating func start(
    features: UInt64, _ queues: inout VirtioQueues
  ) throws(VirtioError) {}
  public mutating func receive(
    _ input: DeviceInput, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Int { 1 }
  public mutating func dismiss(_ input: DeviceInput) -> Int { 1 }
  public mutating func writeConfiguration(_ value: UInt8, at offset: Int) {}
  public var nextDeadline: VirtualInstant? { nil }
  public mutating func advance(_ queues: inout VirtioQueues) throws(VirtioError) {}
}

/// A device's queues, and the memory that they lie in.
public struct VirtioQueues: Sendable {
  public let memory: GuestRAM
  var queues: [VirtQueue]
  /// The device changed its configuration.
  public var configurationChanged = false

  init(memory: GuestRAM, sizes: [UInt16]) {
    self.memory = memory
    queues = sizes.map { VirtQueue(maximumSize: $0) }
  }

  /// The next buffer of a queue; `nil` if there is none.
  public mutating func next(_ queue: Int) throws(VirtioError) -> DescriptorChain? {
    try queues[queue].next(memory)
  }

  public mutating func putBack(_ chain: DescriptorChain, to queue: Int) {
    queues[queue].putBack(chain)
  }

  public mutating func complete(
    _ chain: DescriptorChain, of queue: Int, written: UInt32 = 0
  ) throws(VirtioError) {
    try queues[queue].complete([(chain, written)], memory)
  }

  /// Returns several buffers that belong together.
  public mutating func complete(
    _ buffers: [(chain: DescriptorChain, written: UInt32)], of queue: Int
  ) throws(VirtioError) {
    try queues[queue].complete(buffers, memory)
  }

  /// The first bytes of what the device may read; fewer if there are no more.
  public func read(
    _ ranges: GuestRanges, limit: Int
  ) throws(VirtioError) -> [UInt8] {
    do {
      return try memory.bytes(in: ranges, limit: limit)
    } catch {
      throw .notMemory
    }
  }

  /// Writes `count` bytes of `bytes` from `position` on, where they must fit.
  public func write(
    _ bytes: [UInt8], from position: Int, count: Int, to ranges: GuestRanges
  ) throws(VirtioError) {
    do {
      try memory.write(bytes, from: position, count: count, to: ranges)
    } catch {
      throw .notMemory
    }
  }

  /// Writes as much as fits; returns how much that was.
  @discardableResult
  public func write(_ bytes: [UInt8], to ranges: GuestRanges) throws(VirtioError) -> Int {
    do {
      return try memory.write(bytes, to: ranges)
    } catch {
      throw .notMemory
    }
  }
}
