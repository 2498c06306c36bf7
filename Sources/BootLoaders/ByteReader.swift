/// Bounds-checked little-endian reads of a file that nobody vouches for.
struct ByteReader {
  let bytes: [UInt8]

  var count: UInt64 { UInt64(bytes.count) }

  /// The integer at `offset`; `nil` beyond the end.
  func integer<T: FixedWidthInteger & UnsignedInteger>(
    _ type: T.Type = T.self, at offset: UInt64
  ) -> T? {
    let size = UInt64(MemoryLayout<T>.size)
    guard offset <= count, size <= count - offset else { return nil }
    var value: T = 0
    for index in (0..<Int(size)).reversed() {
      value = (value << 8) | T(truncatingIfNeeded: bytes[Int(offset) + index])
    }
    return value
  }

  /// The range as array indices; `nil` unless all of it lies in the file.
  func indices(from offset: UInt64, count length: UInt64) -> Range<Int>? {
    guard offset <= count, length <= count - offset else { return nil }
    return Int(offset)..<Int(offset + length)
  }

  func hasPrefix(_ prefix: [UInt8], at offset: Int = 0) -> Bool {
    bytes.count >= offset + prefix.count && bytes[offset..<offset + prefix.count] == prefix[...]
  }
}
