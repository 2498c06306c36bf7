import DeviceModel
import HostSystem

/// All that is known of an image's tables, as one thread at a time sees and changes it.
///
/// Changes are made here first and reach the file with `Qcow2Disk.commit`, in the order that keeps it consistent.
struct Qcow2Metadata: Sendable {
  let storage: any ImageStorage
  let geometry: Qcow2Geometry
  /// As in the file, but for the places of tables, which are in `map` and `refcounts`.
  var header: Qcow2Header
  var map: ClusterMap
  var refcounts: Refcounts
  let snapshots: SnapshotTable
  /// Clusters that lost a reference in `map`; they lose it in `refcounts` when the file's tables agree.
  var released: [ClusterRun] = []
  /// The file grows when something is written behind its end.
  let canGrow: Bool
  /// Where the last compressed data end that were written.
  var compressedEnd: UInt64?
  /// The image contradicts itself, so nothing is written to it any more.
  var isDamaged = false

  /// So much waits to be written that it should be.
  var needsCommit: Bool {
    map.level2.needsWriting || refcounts.blocks.needsWriting || released.count > 4096
  }

  /// Reads the tables.
  ///
  /// - Parameter forWriting: all tables are checked, so that no write can hit one.
  init(
    storage: any ImageStorage, header: Qcow2Header, forWriting: Bool
  ) throws(BlockError) {
    self.storage = storage
    self.header = header
    geometry = header.geometry
    var fileByteCount: UInt64 = 0
    var canGrow = false
    try storage.attempt { (storage) throws(HostError) in
      fileByteCount = try storage.byteCount()
      canGrow = try storage.isRegularFile()
    }
    self.canGrow = canGrow
    refcounts = try Refcounts(storage: storage, header: header, fileByteCount: fileByteCount)
    map = try ClusterMap(storage: storage, header: header)
    snapshots = try SnapshotTable(reading: storage, header: header)
    if forWriting { try reserveTables(fileByteCount) }
  }

  /// Learns where tables are; no two of them may overlap.
  private mutating func reserveTables(_ fileByteCount: UInt64) throws(BlockError) {
    try reserve(0, 1, field: 0)
    try reserve(
      header.level1Offset, UInt64(header.level1Size) * 8, field: Qcow2Header.Field.level1Size + 4)
    try reserve(
      header.refcountTableOffset, UInt64(header.refcountTableClusters) * geometry.clusterByteCount,
      field: Qcow2Header.Field.refcountTableOffset)
    try reserve(header.snapshotsOffset, snapshots.byteCount, field: 64)
    for snapshot in snapshots.snapshots {
      try reserve(
        snapshot.level1Offset, UInt64(snapshot.level1Size) * 8, field: header.snapshotsOffset)
    }
    try refcounts.reserveBlocks(fileByteCount: fileByteCount)
    for index in 0..<map.level1.count {
      guard let table = try map.table(at: index, end: refcounts.end) else { continue }
      // One that is shared is copied before it changes.
      guard refcounts.reserve(geometry.cluster(of: table.offset)) || !table.isOwned else {
        throw .corrupt(imageOffset: map.level1.place(of: index))
      }
    }
  }

  private mutating func reserve(
    _ offset: UInt64, _ byteCount: UInt64, field: UInt64
  ) throws(BlockError) {
    let start = geometry.cluster(of: offset)
    let count = geometry.clusters(for: byteCount)
    guard count == 0 || start + count <= max(1, refcounts.end) else {
      throw .corrupt(imageOffset: field)
    }
    for cluster in start..<start + count {
      guard refcounts.reserve(cluster) else { throw .corrupt(imageOffset: field) }
    }
  }

  // MARK: Reading

  mutating func mapping(of cluster: UInt64) throws(BlockError) -> Mapping {
    try map.mapping(of: cluster, end: refcounts.end)
  }

  /// The extents of guest clusters from `start` on, up to `most` clusters.
  mutating func extents(from start: UInt64, upTo most: UInt64) throws(BlockError) -> [Extent] {
    var extents: [Extent] = []
    for cluster in start..<start + most {
      let mapping = try mapping(of: cluster)
      if let last = extents.last, last.continues(with: mapping, geometry) {
        extents[extents.count - 1].count += 1
      } else {
        extents.append(Extent(mapping: mapping, start: cluster, count: 1))
      }
    }
    return extents
  }

  // MARK: Changing

  /// The L2 table of a guest cluster, which is made, or copied from the one that a snapshot shares, if need be.
  mutating func ownTable(of cluster: UInt64) throws(BlockError) -> UInt64 {
    let index = map.level1Index(of: cluster)
    let old = try map.table(at: index, end: refcounts.end)
    if let old, old.isOwned { return old.offset }
    let run = try refcounts.allocate(upTo: 1)
    let offset = geometry.offset(of: run.start)
    do throws(BlockError) {
      // The file has it before the L1 table refers to it. A shared table is never changed, so the file has that, too.
      var words = [UInt64](repeating: 0, count: Int(geometry.wordsPerCluster))
      if let old { words = try storage.words(at: old.offset, count: words.count) }
      try storage.write(words: words, at: offset)
    } catch {
      try refcounts.release(run)
      throw error
    }
    refcounts.reserve(run.start)
    map.setTable(offset, at: index)
    if let old {
      released.append(ClusterRun(start: geometry.cluster(of: old.offset), count: 1))
    }
    return offset
  }

  /// Changes where guest clusters lie; what they referred to before loses a reference.
  mutating func set(_ mapping: Mapping, of cluster: UInt64) throws(BlockError) {
    let table = try ownTable(of: cluster)
    let old = try self.mapping(of: cluster)
    guard old != mapping else { return }
    try map.set(mapping, of: cluster, in: table)
    if let run = old.hostClusters(geometry), run != mapping.hostClusters(geometry) {
      release(run)
    }
  }

  private mutating func release(_ run: ClusterRun) {
    if let last = released.last, last.end == run.start {
      released[released.count - 1].count += run.count
    } else {
      released.append(run)
    }
  }

  /// A host cluster that data are written to is none of the image's tables.
  func checkTarget(_ host: UInt64, _ byteCount: UInt64) throws(BlockError) {
    let start = geometry.cluster(of: host)
    for cluster in start..<start + geometry.clusters(for: byteCount)
    where refcounts.reserved.contains(cluster) {
      throw .corrupt(imageOffset: geometry.offset(of: cluster))
    }
  }
}
