import DeviceModel

/// Where guest clusters lie: the L1 table and the L2 tables.
struct ClusterMap: Sendable {
  private let geometry: Qcow2Geometry
  private let version: UInt32
  var level1: WordTable
  var level2: TableCache

  /// Enough for 128 GiB with clusters of 64 KiB.
  private static let cacheByteCount: UInt64 = 16 << 20

  init(storage: any ImageStorage, header: Qcow2Header) throws(BlockError) {
    geometry = header.geometry
    version = header.version
    level1 = try WordTable(
      reading: storage, at: header.level1Offset, count: Int(header.level1Size))
    level2 = TableCache(
      storage: storage, clusterByteCount: geometry.clusterByteCount,
      byteCount: Self.cacheByteCount)
  }

  /// Which L1 entry leads to a guest cluster.
  func level1Index(of cluster: UInt64) -> Int { Int(cluster / geometry.wordsPerCluster) }

  /// The L2 table that an L1 entry refers to, and whether nobody else does.
  ///
  /// - Parameter end: the file's end in clusters.
  func table(at index: Int, end: UInt64) throws(BlockError) -> (offset: UInt64, isOwned: Bool)? {
    guard index < level1.count else { return nil }
    let entry = level1[index]
    let offset = entry & Mapping.offsetMask
    guard offset != 0 else { return nil }
    guard geometry.isAligned(offset), geometry.cluster(of: offset) < end else {
      throw .corrupt(imageOffset: level1.place(of: index))
    }
    return (offset, entry >> 63 != 0)
  }

  /// Where a guest cluster lies.
  mutating func mapping(of cluster: UInt64, end: UInt64) throws(BlockError) -> Mapping {
    guard let table = try table(at: level1Index(of: cluster), end: end) else {
      return .unallocated
    }
    let place = table.offset + cluster % geometry.wordsPerCluster * 8
    let mapping = try Mapping(
      entry: level2.word(at: place), version: version, geometry: geometry, place: place)
    if let run = mapping.hostClusters(geometry), run.end > end || run.start == 0 {
      throw .corrupt(imageOffset: place)
    }
    return mapping
  }

  /// Whether it can be told without the file where a guest cluster lies.
  func knows(_ cluster: UInt64, end: UInt64) -> Bool {
    guard let table = try? table(at: level1Index(of: cluster), end: end) else { return false }
    return level2.holds(table.offset + cluster % geometry.wordsPerCluster * 8)
  }

  /// - Parameter table: the cluster's L2 table, which is this map's own.
  mutating func set(
    _ mapping: Mapping, of cluster: UInt64, in table: UInt64
  ) throws(BlockError) {
    try level2.setWord(
      mapping.entry(geometry), at: table + cluster % geometry.wordsPerCluster * 8)
  }

  /// Has an L1 entry refer to an L2 table that nobody else refers to.
  mutating func setTable(_ offset: UInt64, at index: Int) {
    level2.forget(from: offset, byteCount: geometry.clusterByteCount)
    level1[index] = offset | 1 << 63
  }
}

/// Guest clusters that follow one another and are alike.
struct Extent: Hashable, Sendable {
  /// Of the first cluster; data that follow lie behind it in the file.
  var mapping: Mapping
  /// In guest clusters.
  var start: UInt64
  var count: UInt64

  var end: UInt64 { start + count }

  /// Whether a cluster with this mapping continues the extent.
  func continues(with next: Mapping, _ geometry: Qcow2Geometry) -> Bool {
    switch (mapping, next) {
    case (.unallocated, .unallocated): true
    case (.zero, .zero): mapping == next && next.hostClusters(geometry) == nil
    case (.data(let host, let isOwned), .data(let nextHost, let nextIsOwned)):
      isOwned == nextIsOwned && nextHost == host + count * geometry.clusterByteCount
    default: false
    }
  }
}
