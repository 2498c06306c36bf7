import DeviceModel

/// Parts of an image's L2 tables or refcount blocks in memory, with what was changed in them.
///
/// Its size is bounded as long as changes are written out before half of it is changed: changed slices stay.
struct TableCache: Sendable {
  struct Slice: Sendable {
    /// Where it lies in the file.
    var offset: UInt64
    var words: [UInt64]
    var isDirty = false
    /// It is on its way to the file: what lies there is older.
    var isBeingWritten = false
    /// Used since the hand of the clock came by.
    var isRecent = true
  }

  private let storage: any ImageStorage
  private let sliceByteCount: UInt64
  private let capacity: Int
  private var slices: [Slice] = []
  private var places: [UInt64: Int] = [:]
  private var hand = 0
  private var dirty: Set<Int> = []

  /// So much is to be written out.
  var needsWriting: Bool { dirty.count > capacity / 2 }
  var isDirty: Bool { !dirty.isEmpty }

  init(storage: any ImageStorage, clusterByteCount: UInt64, byteCount: UInt64) {
    self.storage = storage
    sliceByteCount = min(4096, clusterByteCount)
    capacity = Int(max(8, byteCount / sliceByteCount))
  }

  /// The word at a place in the file that is a multiple of 8.
  mutating func word(at offset: UInt64) throws(BlockError) -> UInt64 {
    let index = try slice(holding: offset)
    return slices[index].words[Int(offset & (sliceByteCount - 1)) / 8]
  }

  /// Whether the word at a place can be had without the file.
  func holds(_ offset: UInt64) -> Bool { places[offset & ~(sliceByteCount - 1)] != nil }

  mutating func setWord(_ value: UInt64, at offset: UInt64) throws(BlockError) {
    let index = try slice(holding: offset)
    slices[index].words[Int(offset & (sliceByteCount - 1)) / 8] = value
    slices[index].isDirty = true
    dirty.insert(index)
  }

  private mutating func slice(holding offset: UInt64) throws(BlockError) -> Int {
    let start = offset & ~(sliceByteCount - 1)
    if let index = places[start] {
      slices[index].isRecent = true
      return index
    }
    let words = try storage.words(at: start, count: Int(sliceByteCount / 8))
    let slice = Slice(offset: start, words: words)
    let index: Int
    if slices.count >= capacity, let victim = victim() {
      places[slices[victim].offset] = nil
      slices[victim] = slice
      index = victim
    } else {
      index = slices.count
      slices.append(slice)
    }
    places[start] = index
    return index
  }

  /// A slice that was not used for long, and that is in the file as it is here.
  private mutating func victim() -> Int? {
    for _ in 0..<slices.count * 2 {
      hand = (hand + 1) % slices.count
      let slice = slices[hand]
      if slice.isDirty || slice.isBeingWritten { continue }
      if !slice.isRecent { return hand }
      slices[hand].isRecent = false
    }
    return nil
  }

  /// Forgets what lies in the range, which became something else.
  mutating func forget(from offset: UInt64, byteCount: UInt64) {
    for start in stride(from: offset, to: offset + byteCount, by: Int(sliceByteCount)) {
      guard let index = places.removeValue(forKey: start) else { continue }
      dirty.remove(index)
      // The slot stays, for a place where no table is.
      slices[index] = Slice(offset: .max, words: [], isRecent: false)
    }
  }

  /// All that is changed, in the order in which it lies in the file. It stays until `endWriting`.
  mutating func beginWriting() -> [Slice] {
    let result = dirty.map { index in
      slices[index].isDirty = false
      slices[index].isBeingWritten = true
      return slices[index]
    }
    dirty = []
    return result.sorted { $0.offset < $1.offset }
  }

  /// - Parameter succeeded: what was to be written lies in the file now; otherwise it is still to be written.
  mutating func endWriting(_ written: [Slice], succeeded: Bool) {
    for slice in written {
      guard let index = places[slice.offset] else { continue }
      slices[index].isBeingWritten = false
      guard !succeeded else { continue }
      slices[index].isDirty = true
      dirty.insert(index)
    }
  }
}

extension [TableCache.Slice] {
  /// Writes the slices to their places, those that follow one another at once.
  func write(to storage: any ImageStorage) throws(BlockError) {
    var index = 0
    while index < count {
      var words = self[index].words
      let start = self[index].offset
      index += 1
      while index < count, self[index].offset == start + UInt64(words.count) * 8,
        words.count < 1 << 17
      {
        words += self[index].words
        index += 1
      }
      try storage.write(words: words, at: start)
    }
  }
}
