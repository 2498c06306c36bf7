private import Glibc

extension MemorySegments {
  /// Memory of its own that holds the words, each with its most significant byte first.
  public init(bigEndianWords words: [UInt64]) {
    self.init(zeroed: words.count * 8)
    unsafe words.map(\.bigEndian).withUnsafeBytes { write(unsafe RawSpan(_unsafeBytes: $0)) }
  }

  /// What the buffer holds, as words with their most significant bytes first; a rest of less than a word is left out.
  public func bigEndianWords() -> [UInt64] {
    let bytes = bytes()
    return unsafe bytes.withUnsafeBytes { bytes in
      // SAFETY: word `index` ends within the bytes, as their count is at least 8 times the number of words.
      (0..<bytes.count / 8).map { index in
        UInt64(
          bigEndian: unsafe bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
      }
    }
  }
}

extension MemorySegments {
  /// Whether `count` bytes from `offset` on are all zero.
  public func isZero(from offset: Int, count: Int) -> Bool {
    let part = slice(from: offset, count: count)
    return unsafe part.vectors.allSatisfy { vector in
      guard let start = unsafe vector.iov_base, unsafe vector.iov_len > 0 else { return true }
      // SAFETY: the run lives as long as `part`; each byte is compared with its successor.
      return unsafe start.load(as: UInt8.self) == 0
        && memcmp(start, start + 1, vector.iov_len - 1) == 0
    }
  }
}
