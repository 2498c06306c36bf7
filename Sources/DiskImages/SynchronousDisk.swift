import DeviceModel
import HostSystem

/// An image whose requests are carried out by the thread that brings them. From several threads at once.
protocol SynchronousDisk: AnyObject, Sendable {
  /// The disk's size in bytes.
  var byteCount: UInt64 { get }
  var isReadOnly: Bool { get }
  var canDiscard: Bool { get }
  var preferredByteCount: UInt32 { get }
  func perform(_ request: BlockRequest) throws(BlockError)
  /// Where data may begin at or after `offset`: what lies before reads as zeroes. `nil` if only zeroes follow.
  func nextData(from offset: UInt64) throws(BlockError) -> UInt64?
  /// The file that `beginDirect` leads to; `nil` if it never leads anywhere.
  var directFile: ImageFile? { get }
  /// Where all data of a request lie one after the other in `directFile`, if that can be told at once. They stay
  /// there until `endDirect`.
  func beginDirect(_ request: BlockRequest) -> DirectTransfer?
  func endDirect(_ transfer: DirectTransfer)
  /// Makes everything durable and gives the image back. Once, when nothing else is under way.
  func close() throws(BlockError)
}

/// A request as one for the file that its data lie in.
struct DirectTransfer: Sendable {
  var request: BlockRequest
  /// What `RangeLocks` has for it.
  var lock: UInt64
}

extension SynchronousDisk {
  var directFile: ImageFile? { nil }
  func beginDirect(_ request: BlockRequest) -> DirectTransfer? { nil }
  func endDirect(_ transfer: DirectTransfer) {}

  /// Fills the buffer; what lies beyond the end of the disk reads as zeroes.
  func readClipped(into buffer: MemorySegments, at offset: UInt64) throws(BlockError) {
    let available = offset < byteCount ? byteCount - offset : 0
    let count = Int(min(available, UInt64(buffer.byteCount)))
    if count > 0 {
      try perform(.read(offset: offset, into: buffer.slice(from: 0, count: count)))
    }
    buffer.clear(from: count, count: buffer.byteCount - count)
  }
}

extension BlockRequest {
  /// Where the request begins and how many bytes it is about; `nil` for a flush.
  var range: (offset: UInt64, byteCount: UInt64)? {
    switch self {
    case .read(let offset, let buffer), .write(let offset, let buffer, _):
      (offset, UInt64(buffer.byteCount))
    case .discard(let offset, let count), .writeZeroes(let offset, let count, _): (offset, count)
    case .flush: nil
    }
  }

  var isModification: Bool {
    switch self {
    case .read, .flush: false
    case .write, .discard, .writeZeroes: true
    }
  }
}
