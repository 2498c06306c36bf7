public import GuestMemory

/// A buffer that the driver made available: what the device may read, then what it may write.
public struct DescriptorChain: Hashable, Sendable {
  public var readable = GuestRanges()
  public var writable = GuestRanges()
  /// What the driver knows it by.
  var identifier: UInt16 = 0
  /// How many entries of a packed ring it takes.
  var entryCount: UInt16 = 1
  /// Which of the queue's lives it was taken in.
  var life: UInt32 = 0

  init() {}
}

/// The driver broke the rules of virtio: the device asks to be reset (virtio 1.2 §2.1.2).
public enum VirtioError: Error, Hashable, Sendable {
  /// A ring or descriptor table is not in RAM.
  case notMemory
  /// A chain loops, or is longer than the queue.
  case chainTooLong
  /// An index or a descriptor number is beyond the queue.
  case outOfRange
  /// A writable descriptor before a readable one.
  case wrongOrder
  /// An indirect descriptor in an indirect table, or with NEXT, or of a size that is no multiple of 16.
  case badIndirect
  /// A buffer of another layout than the device needs.
  case badRequest
}
