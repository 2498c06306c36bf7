import DeviceModel

/// A table that is held in memory as a whole: the L1 table, or the refcount table.
struct WordTable: Sendable {
  /// Where it lies in the file.
  var offset: UInt64
  private(set) var words: [UInt64]
  /// Sectors of 64 words that differ from the file.
  private var dirtySectors: Set<Int> = []

  private static let sectorWords = 64

  struct Write: Sendable {
    var offset: UInt64
    var words: [UInt64]
  }

  init(offset: UInt64, words: [UInt64]) {
    self.offset = offset
    self.words = words
  }

  init(reading storage: any ImageStorage, at offset: UInt64, count: Int) throws(BlockError) {
    self.init(offset: offset, words: try storage.words(at: offset, count: count))
  }

  var count: Int { words.count }
  var isDirty: Bool { !dirtySectors.isEmpty }

  subscript(index: Int) -> UInt64 {
    get { words[index] }
    set {
      words[index] = newValue
      dirtySectors.insert(index / Self.sectorWords)
    }
  }

  /// Where entry `index` lies in the file.
  func place(of index: Int) -> UInt64 { offset + UInt64(index) * 8 }

  mutating func append(zeroes count: Int) { words += [UInt64](repeating: 0, count: count) }

  /// The whole table is to be written, to a new place.
  mutating func move(to offset: UInt64) {
    self.offset = offset
    dirtySectors = Set(0...(max(1, words.count) - 1) / Self.sectorWords)
  }

  /// What is to be written, in the order in which it lies in the file.
  mutating func takeWrites() -> [Write] {
    defer { dirtySectors = [] }
    return dirtySectors.sorted().map { sector in
      let start = sector * Self.sectorWords
      let end = min(start + Self.sectorWords, words.count)
      return Write(offset: place(of: start), words: Array(words[start..<end]))
    }
  }

  /// They were not written after all.
  mutating func putBack(_ writes: [Write]) {
    for write in writes where write.offset >= offset {
      dirtySectors.insert(Int((write.offset - offset) / 8) / Self.sectorWords)
    }
  }
}

extension [WordTable.Write] {
  func write(to storage: any ImageStorage) throws(BlockError) {
    for write in self { try storage.write(words: write.words, at: write.offset) }
  }
}
