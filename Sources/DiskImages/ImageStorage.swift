import DeviceModel
import HostSystem

/// What an image lies in. All data and metadata of image formats go through here, from several threads at once, so
/// that another way of doing I/O, or a simulated disk that loses its power, can take its place.
protocol ImageStorage: AnyObject, Sendable {
  var isReadOnly: Bool { get }
  func byteCount() throws(HostError) -> UInt64
  /// It grows when something is written beyond its end, and what is between reads as zeroes.
  func isRegularFile() throws(HostError) -> Bool
  /// What lies beyond the end reads as zeroes.
  func read(into buffer: MemorySegments, at offset: UInt64) throws(HostError)
  func write(from buffer: MemorySegments, at offset: UInt64) throws(HostError)
  /// Makes durable all that was written before.
  func flush() throws(HostError)
  /// The range reads as zeroes afterwards. Where this cannot be done it throws, and has done nothing.
  func punchHole(at offset: UInt64, byteCount: UInt64) throws(HostError)
  func resize(to byteCount: UInt64) throws(HostError)
  func reserve(at offset: UInt64, byteCount: UInt64) throws(HostError)
  /// Where data begin at or after `offset`; `nil` if none follow.
  func nextData(from offset: UInt64) throws(HostError) -> UInt64?
  func unlock()
}

extension ImageFile: ImageStorage {}

private let zeroes = MemorySegments(zeroed: 1 << 20)

extension ImageStorage {
  /// Writes zeroes, where the range cannot be had as a hole.
  func writeZeroes(at offset: UInt64, byteCount: UInt64) throws(HostError) {
    var done: UInt64 = 0
    while done < byteCount {
      let length = min(byteCount - done, UInt64(zeroes.byteCount))
      try write(from: zeroes.slice(from: 0, count: Int(length)), at: offset + done)
      done += length
    }
  }

  func attempt(_ body: (any ImageStorage) throws(HostError) -> Void) throws(BlockError) {
    do throws(HostError) { try body(self) } catch { throw BlockError(error) }
  }

  /// Big-endian words of a table.
  func words(at offset: UInt64, count: Int) throws(BlockError) -> [UInt64] {
    let buffer = MemorySegments(zeroed: count * 8)
    try attempt { (storage) throws(HostError) in try storage.read(into: buffer, at: offset) }
    return buffer.bigEndianWords()
  }

  func write(words: [UInt64], at offset: UInt64) throws(BlockError) {
    let buffer = MemorySegments(bigEndianWords: words)
    try attempt { (storage) throws(HostError) in try storage.write(from: buffer, at: offset) }
  }

  /// Makes durable what was written.
  func barrier() throws(BlockError) {
    try attempt { (storage) throws(HostError) in try storage.flush() }
  }
}
