import DeviceModel

/// How often each host cluster is referred to, and which are free: the refcount table and its blocks.
struct Refcounts: Sendable {
  let geometry: Qcow2Geometry
  private let storage: any ImageStorage
  private(set) var table: WordTable
  /// The table lies elsewhere than the header in the file says.
  var isMoved = false
  var blocks: TableCache
  /// Clusters that hold the image's own tables: never data.
  private(set) var reserved: Set<UInt64> = []
  /// No cluster below is free.
  var searchStart: UInt64 = 0
  /// From this cluster on nothing was ever written: it reads as zeroes, if the file can grow.
  private(set) var end: UInt64
  /// Former tables, which are free when the header refers to the present one.
  private var retired: [ClusterRun] = []

  private static let cacheByteCount: UInt64 = 2 << 20
  private static let blockMask: UInt64 = ~511

  init(
    storage: any ImageStorage, header: Qcow2Header, fileByteCount: UInt64
  ) throws(BlockError) {
    geometry = header.geometry
    self.storage = storage
    end = geometry.clusters(for: fileByteCount)
    let clusters = Int(header.refcountTableClusters)
    table = try WordTable(
      reading: storage, at: header.refcountTableOffset,
      count: clusters * Int(geometry.wordsPerCluster))
    blocks = TableCache(
      storage: storage, clusterByteCount: geometry.clusterByteCount,
      byteCount: Self.cacheByteCount)
  }

  /// The cluster beyond the last one whose count the table has room for.
  private var coverage: UInt64 { UInt64(table.count) * geometry.countsPerBlock }
  var tableClusters: UInt64 { UInt64(table.count) / geometry.wordsPerCluster }

  /// Takes a cluster as one of the image's tables.
  ///
  /// - Returns: whether it was none before.
  @discardableResult
  mutating func reserve(_ cluster: UInt64) -> Bool { reserved.insert(cluster).inserted }

  /// Takes the clusters of all refcount blocks as tables.
  ///
  /// - Throws: `corrupt` with the place of an entry that cannot be true.
  mutating func reserveBlocks(fileByteCount: UInt64) throws(BlockError) {
    for index in 0..<table.count where table[index] != 0 {
      let offset = table[index]
      guard geometry.isAligned(offset), offset < fileByteCount,
        reserve(geometry.cluster(of: offset))
      else { throw .corrupt(imageOffset: table.place(of: index)) }
    }
  }

  // MARK: Counts

  mutating func count(of cluster: UInt64) throws(BlockError) -> UInt64 {
    guard let (word, shift) = try place(of: cluster) else { return 0 }
    return try blocks.word(at: word) >> shift & geometry.largestRefcount
  }

  /// Where a cluster's count lies; `nil` if there is no block for it.
  private func place(of cluster: UInt64) throws(BlockError) -> (word: UInt64, shift: UInt64)? {
    let (range, index) = cluster.quotientAndRemainder(dividingBy: geometry.countsPerBlock)
    guard range < UInt64(table.count), table[Int(range)] != 0 else { return nil }
    let block = table[Int(range)]
    guard geometry.isAligned(block), block < Qcow2Geometry.hostOffsetLimit else {
      throw .corrupt(imageOffset: table.place(of: Int(range)))
    }
    let (word, shift) = geometry.place(ofCount: index)
    return (block + word * 8, shift)
  }

  /// - Parameter value: no larger than the image's counts can be.
  mutating func setCount(_ value: UInt64, of cluster: UInt64) throws(BlockError) {
    if cluster / geometry.countsPerBlock >= UInt64(table.count) {
      try growTable(toCover: cluster)
    }
    while try place(of: cluster) == nil {
      guard value != 0 else { return }
      var next = try firstFree(from: max(searchStart, cluster + 1))
      if next >= coverage {
        try growTable(toCover: next)
      } else {
        try addBlock(for: Int(cluster / geometry.countsPerBlock), &next)
      }
    }
    guard let (word, shift) = try place(of: cluster) else { return }
    let old = try blocks.word(at: word)
    try blocks.setWord(old & ~(geometry.largestRefcount << shift) | value << shift, at: word)
    if value == 0 { searchStart = min(searchStart, cluster) } else { end = max(end, cluster + 1) }
  }

  /// One reference more to each cluster.
  mutating func retain(_ run: ClusterRun) throws(BlockError) {
    for cluster in run.start..<run.end {
      let count = try count(of: cluster)
      guard count < geometry.largestRefcount else {
        throw .corrupt(imageOffset: geometry.offset(of: cluster))
      }
      try setCount(count + 1, of: cluster)
    }
  }

  /// One reference less to each cluster.
  mutating func release(_ run: ClusterRun) throws(BlockError) {
    for cluster in run.start..<run.end {
      let count = try count(of: cluster)
      guard count > 0 else { throw .corrupt(imageOffset: geometry.offset(of: cluster)) }
      try setCount(count - 1, of: cluster)
      if count == 1 { reserved.remove(cluster) }
    }
  }

  // MARK: Free clusters

  /// Takes up to `most` free clusters that follow one another; each is referred to once.
  mutating func allocate(upTo most: UInt64) throws(BlockError) -> ClusterRun {
    while true {
      let start = try firstFree(from: searchStart)
      if start >= coverage {
        try growTable(toCover: start)
        continue
      }
      let range = Int(start / geometry.countsPerBlock)
      if table[range] == 0 {
        var next = start
        try addBlock(for: range, &next)
        continue
      }
      var run = ClusterRun(start: start, count: 0)
      while run.count < most, run.end < coverage,
        table[Int(run.end / geometry.countsPerBlock)] != 0, try count(of: run.end) == 0
      {
        // A table without a count: the image is damaged, and would be more so.
        guard !reserved.contains(run.end) else {
          throw .corrupt(imageOffset: geometry.offset(of: run.end))
        }
        try setCount(1, of: run.end)
        run.count += 1
      }
      searchStart = run.end
      return run
    }
  }

  /// The first cluster at or after `cluster` that nothing refers to.
  private mutating func firstFree(from cluster: UInt64) throws(BlockError) -> UInt64 {
    var cluster = cluster
    while try count(of: cluster) != 0 { cluster += 1 }
    guard geometry.cluster(of: Qcow2Geometry.hostOffsetLimit) > cluster else { throw .noSpace }
    return cluster
  }

  // MARK: The table

  /// Makes the block for a range of counts, in free clusters from `next` on, which is moved past them.
  private mutating func addBlock(for range: Int, _ next: inout UInt64) throws(BlockError) {
    // The block itself is counted in the block of the range where it lies: that may be itself.
    let home = Int(next / geometry.countsPerBlock)
    guard home < table.count else { throw .noSpace }
    if home != range, table[home] == 0 {
      try addBlock(for: home, &next)
      return try addBlock(for: range, &next)
    }
    let cluster = next
    let offset = geometry.offset(of: cluster)
    guard !reserved.contains(cluster) else { throw .corrupt(imageOffset: offset) }
    // It is durable before the table refers to it.
    try storage.write(
      words: [UInt64](repeating: 0, count: Int(geometry.wordsPerCluster)), at: offset)
    blocks.forget(from: offset, byteCount: geometry.clusterByteCount)
    let before = self
    do throws(BlockError) {
      reserve(cluster)
      table[range] = offset
      try setCount(1, of: cluster)
    } catch {
      self = before
      throw error
    }
    next = cluster + 1
    while try count(of: next) != 0 { next += 1 }
  }

  /// Makes room for the counts of more clusters: a larger table, at the end of what the old one covers.
  ///
  /// - Throws: `noSpace` at the largest table.
  private mutating func growTable(toCover cluster: UInt64) throws(BlockError) {
    let needed = cluster / geometry.countsPerBlock + 1
    let wanted = max(UInt64(table.count) * 3 / 2, needed + geometry.wordsPerCluster)
    let most = Qcow2Geometry.mostRefcountTableBytes / 8
    let count = min(
      most,
      (wanted + geometry.wordsPerCluster - 1) / geometry.wordsPerCluster
        * geometry.wordsPerCluster)
    guard count > needed, count > UInt64(table.count) else { throw .noSpace }
    let before = self
    do throws(BlockError) {
      try moveTable(to: coverage, count: Int(count))
    } catch {
      self = before
      throw error
    }
  }

  /// - Parameter cluster: where free clusters begin that have no counts yet.
  private mutating func moveTable(to cluster: UInt64, count: Int) throws(BlockError) {
    if table.count > 0 {
      retired.append(ClusterRun(start: geometry.cluster(of: table.offset), count: tableClusters))
    }
    table.append(zeroes: count - table.count)
    let run = ClusterRun(start: cluster, count: UInt64(count) / geometry.wordsPerCluster)
    guard run.end < coverage else { throw .noSpace }
    table.move(to: geometry.offset(of: cluster))
    isMoved = true
    try take(run)
    for cluster in run.start..<run.end { reserve(cluster) }
  }

  /// Counts clusters that are free, one reference each; blocks that this needs lie behind them.
  private mutating func take(_ run: ClusterRun) throws(BlockError) {
    var next = run.end
    for cluster in run.start..<run.end {
      let range = Int(cluster / geometry.countsPerBlock)
      if table[range] == 0 { try addBlock(for: range, &next) }
      try setCount(1, of: cluster)
    }
  }

  /// Takes so many clusters that follow one another, at the end of the file.
  mutating func allocateTogether(_ count: UInt64) throws(BlockError) -> ClusterRun {
    while true {
      let run = ClusterRun(start: try firstFree(from: end), count: count)
      let needed = run.end + count / geometry.countsPerBlock + 2
      if needed >= coverage {
        try growTable(toCover: needed)
        continue
      }
      var isFree = true
      for cluster in run.start..<run.end where try self.count(of: cluster) != 0 {
        // Lost by a crash before the file grew so far.
        end = cluster + 1
        isFree = false
      }
      guard isFree else { continue }
      try take(run)
      return run
    }
  }

  /// Begins with no counts at all, with a table behind the end of the file, for an image whose counts are beyond repair.
  mutating func startAnew(behind fileByteCount: UInt64) throws(BlockError) {
    let first = geometry.clusters(for: fileByteCount) + 1
    table = WordTable(offset: 0, words: [])
    blocks = TableCache(
      storage: storage, clusterByteCount: geometry.clusterByteCount,
      byteCount: Self.cacheByteCount)
    let needed = (first + first / 8) / geometry.countsPerBlock + 2
    let entries =
      (needed + geometry.wordsPerCluster - 1) / geometry.wordsPerCluster
      * geometry.wordsPerCluster
    guard entries * 8 <= Qcow2Geometry.mostRefcountTableBytes else { throw .noSpace }
    try moveTable(to: first, count: Int(entries))
    searchStart = 0
  }

  /// The clusters of former tables.
  mutating func takeRetired() -> [ClusterRun] {
    defer { retired = [] }
    return retired
  }

  mutating func takeTableWrites() -> [WordTable.Write] { table.takeWrites() }
  mutating func putBack(_ writes: [WordTable.Write]) { table.putBack(writes) }
}
