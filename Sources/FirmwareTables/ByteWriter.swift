/// Bytes of a firmware structure under construction; every integer little-endian.
struct ByteWriter {
  private(set) var bytes: [UInt8] = []

  var count: Int { bytes.count }

  mutating func append(_ value: UInt8) { bytes.append(value) }
  mutating func append(_ values: [UInt8]) { bytes.append(contentsOf: values) }

  mutating func append<T: FixedWidthInteger & UnsignedInteger>(littleEndian value: T) {
    var rest = value
    for _ in 0..<MemoryLayout<T>.size {
      bytes.append(UInt8(truncatingIfNeeded: rest))
      rest = rest >> 8
    }
  }

  mutating func append(zeros count: Int) {
    bytes.append(contentsOf: repeatElement(0, count: count))
  }

  /// Appends `text` cut or padded to `count` bytes.
  mutating func append(_ text: String, count: Int, padding: UInt8 = 0) {
    var field = Array(text.utf8.prefix(count))
    field.append(contentsOf: repeatElement(padding, count: count - field.count))
    bytes.append(contentsOf: field)
  }

  mutating func replace(at offset: Int, with value: UInt8) { bytes[offset] = value }

  mutating func replace(at offset: Int, littleEndian value: UInt32) {
    for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
  }

  /// Sets the byte at `offset` so that all bytes of `range` sum to zero.
  mutating func balance(_ range: Range<Int>, at offset: Int) {
    bytes[offset] = 0
    bytes[offset] = 0 &- bytes[range].reduce(0, &+)
  }
}
