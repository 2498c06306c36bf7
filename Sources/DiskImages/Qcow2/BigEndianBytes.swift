/// Numbers in bytes, the most significant byte first.
extension [UInt8] {
  /// The `count` bytes from `offset` on as a number; `nil` if they are not all there.
  func bigEndian(at offset: Int, count: Int) -> UInt64? {
    guard offset >= 0, offset <= self.count - count else { return nil }
    return self[offset..<offset + count].reduce(0) { $0 << 8 | UInt64($1) }
  }

  mutating func append(bigEndian value: UInt64, count: Int) {
    for index in (0..<count).reversed() {
      append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
    }
  }

  mutating func pad(toMultipleOf alignment: Int) {
    while count % alignment != 0 { append(0) }
  }
}
