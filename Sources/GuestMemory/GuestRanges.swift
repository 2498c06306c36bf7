import HostSystem
import MachineTypes

/// Runs of guest memory in order, as one buffer. Nothing says that they are RAM until they are accessed.
public struct GuestRanges: Hashable, Sendable {
  public private(set) var ranges: [GuestRange] = []
  /// All runs together; the sum saturates.
  public private(set) var byteCount: UInt64 = 0

  public init() {}

  public mutating func append(_ range: GuestRange) {
    ranges.append(range)
    let (sum, overflow) = byteCount.addingReportingOverflow(range.byteCount)
    byteCount = overflow ? .max : sum
  }

  /// What lies from byte `offset` on, at most `count` bytes of it.
  public func slice(from offset: UInt64, count: UInt64 = .max) -> GuestRanges {
    var result = GuestRanges()
    var skip = offset
    var left = count
    for range in ranges where left > 0 {
      guard skip < range.byteCount else {
        skip -= range.byteCount
        continue
      }
      let taken = min(range.byteCount - skip, left)
      let start = GuestPhysicalAddress(rawValue: range.start.rawValue &+ skip)
      result.append(GuestRange(start: start, byteCount: taken))
      left -= taken
      skip = 0
    }
    return result
  }
}

extension GuestRAM {
  /// The bytes of `ranges`, up to `limit` of them.
  public func bytes(
    in ranges: GuestRanges, limit: Int
  ) throws(GuestMemoryError) -> [UInt8] {
    try segments(of: ranges.slice(from: 0, count: UInt64(limit)).ranges).bytes()
  }

  /// Writes as much of `source` as fits; returns how much that was.
  public func write(
    _ source: [UInt8], to ranges: GuestRanges
  ) throws(GuestMemoryError) -> Int {
    let count = Int(min(ranges.byteCount, UInt64(source.count)))
    try write(source, from: 0, count: count, to: ranges)
    return count
  }

  /// Writes `count` bytes of `source` from `start` on; `ranges` must have room for them.
  public func write(
    _ source: [UInt8], from start: Int, count: Int, to ranges: GuestRanges
  ) throws(GuestMemoryError) {
    var position = start
    let end = start + count
    for range in ranges.ranges where position < end {
      let length = Int(min(range.byteCount, UInt64(end - position)))
      try unsafe write(
        source.span.bytes.extracting(position..<position + length), at: range.start)
      position += length
    }
  }
}
