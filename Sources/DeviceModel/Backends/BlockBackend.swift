public import HostSystem

/// What a disk is asked to do; offsets and counts in bytes, multiples of `BlockBackend.blockByteCount`.
public enum BlockRequest: Sendable {
  /// Fills the buffer.
  case read(offset: UInt64, into: MemorySegments)
  /// Writes the buffer. `isDurable`: with its own flush (FUA).
  case write(offset: UInt64, from: MemorySegments, isDurable: Bool)
  /// Everything that was completed before is durable when this completes.
  case flush
  /// The range's contents no longer matter.
  case discard(offset: UInt64, byteCount: UInt64)
  /// The range reads as zeroes afterwards; with `mayUnmap` its space may be given back.
  case writeZeroes(offset: UInt64, byteCount: UInt64, mayUnmap: Bool)
}

/// A request on its way to a disk, and whom to tell.
public struct BlockSubmission: Sendable {
  public var request: BlockRequest
  public var completion: @Sendable (Result<Void, BlockError>) -> Void

  public init(
    _ request: BlockRequest, completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    self.request = request
    self.completion = completion
  }
}

/// Why a disk could not do it.
public enum BlockError: Error, Hashable, Sendable {
  case outOfRange
  case readOnly
  /// The host's disk or quota is full.
  case noSpace
  case unsupported
  /// The image contradicts itself at this byte of the file.
  case corrupt(imageOffset: UInt64)
  case host(HostError)
}

/// What stands behind a disk device. From any thread; requests may complete in any order.
public protocol BlockBackend: AnyObject, Sendable {
  /// The disk's size now.
  var byteCount: UInt64 { get }
  /// What requests are multiples of: 512 or a power of two above.
  var blockByteCount: UInt32 { get }
  /// What the backend does best in: at least `blockByteCount`.
  var preferredByteCount: UInt32 { get }
  var isReadOnly: Bool { get }
  var canDiscard: Bool { get }

  /// Begins `request`; never blocks for long. `completion` is called once, on a thread of the backend's: never
  /// from within this call, whose caller may hold locks.
  func submit(
    _ request: BlockRequest,
    completion: @escaping @Sendable (Result<Void, BlockError>) -> Void)

  /// Begins several requests at once, under the same rules.
  func submit(_ submissions: [BlockSubmission])

  /// Drops requests that the backend has not begun, without a completion, and returns how many: the guest
  /// that made them has gone.
  func dropWaiting() -> Int

  /// Looks how large the disk has become on the host's side, and returns `byteCount` from now on.
  func refreshByteCount() throws(BlockError) -> UInt64

  /// Waits until all requests have completed, makes them durable, and gives the image back. Once.
  func close() throws(BlockError)
}

extension BlockBackend {
  public func dropWaiting() -> Int { 0 }

  public func refreshByteCount() throws(BlockError) -> UInt64 { byteCount }

  public func submit(_ submissions: [BlockSubmission]) {
    for submission in submissions { submit(submission.request, completion: submission.completion) }
  }
}
