import DeviceModel
import HostSystem

/// Counts how often each host cluster of an image is referred to, by following all of its tables.
///
/// Each table is read once, however many others refer to it, so that the time is bounded by the file's size.
struct Qcow2Scan {
  private let storage: any ImageStorage
  private let header: Qcow2Header
  private let geometry: Qcow2Geometry
  private(set) var report = CheckReport()
  /// References to each host cluster of the file.
  private(set) var counts: [UInt32]
  var fileByteCount: UInt64 { UInt64(counts.count) * geometry.clusterByteCount }
  /// The refcount table or a block lies where it cannot.
  private(set) var areCountsDamaged = false
  /// The blocks that the refcount table refers to.
  private(set) var blocks: [(range: Int, offset: UInt64)] = []
  /// Entries that lead nowhere.
  private(set) var badEntries: [UInt64] = []

  /// How the L1 tables refer to an L2 table.
  private struct TableUse {
    var count: UInt32 = 0
    /// Guest cluster of its first entry, and the place of the L1 entry, for the active L1 table.
    var active: (firstCluster: UInt64, place: UInt64)?
  }
  private var tables: [UInt64: TableUse] = [:]

  /// A file of more clusters is not checked: each takes four bytes of memory.
  static let mostClusters: UInt64 = 1 << 28

  /// - Throws: `unsupported` for a file of too many clusters.
  init(_ storage: any ImageStorage, _ header: Qcow2Header) throws(BlockError) {
    self.storage = storage
    self.header = header
    geometry = header.geometry
    var size: UInt64 = 0
    try storage.attempt { (storage) throws(HostError) in size = try storage.byteCount() }
    let clusters = geometry.clusters(for: size)
    guard clusters <= Self.mostClusters else { throw .unsupported }
    counts = [UInt32](repeating: 0, count: Int(clusters))
    report.totalClusters = geometry.clusters(for: header.virtualByteCount)

    take(0, 1, "the header")
    try takeRefcountTable()
    try takeLevel1(header.level1Offset, header.level1Size, isActive: true)
    let snapshots = try SnapshotTable(reading: storage, header: header)
    take(header.snapshotsOffset, snapshots.byteCount, "the snapshot table")
    for snapshot in snapshots.snapshots {
      try takeLevel1(snapshot.level1Offset, snapshot.level1Size, isActive: false)
    }
    try takeBitmaps()
    for (offset, use) in tables.sorted(by: { $0.key < $1.key }) { try takeLevel2(offset, use) }
    if let last = counts.lastIndex(where: { $0 > 0 }) {
      report.imageEndOffset = UInt64(last + 1) * geometry.clusterByteCount
    }
  }

  /// Counts references to the clusters of a range.
  private mutating func take(
    _ offset: UInt64, _ byteCount: UInt64, references: UInt32 = 1, _ what: @autoclosure () -> String
  ) {
    guard byteCount > 0 else { return }
    let run = ClusterRun(
      start: geometry.cluster(of: offset),
      count: geometry.cluster(of: offset + byteCount - 1) - geometry.cluster(of: offset) + 1)
    guard run.end <= UInt64(counts.count) else {
      report.noteCorruption("\(what()) at \(offset) lies beyond the end of the file")
      return
    }
    for cluster in Int(run.start)..<Int(run.end) {
      let (sum, overflow) = counts[cluster].addingReportingOverflow(references)
      counts[cluster] = overflow ? .max : sum
    }
  }

  private mutating func takeRefcountTable() throws(BlockError) {
    take(
      header.refcountTableOffset, UInt64(header.refcountTableClusters) * geometry.clusterByteCount,
      "the refcount table")
    let table = try WordTable(
      reading: storage, at: header.refcountTableOffset,
      count: Int(UInt64(header.refcountTableClusters) * geometry.wordsPerCluster))
    var seen: Set<UInt64> = []
    for range in 0..<table.count where table[range] != 0 {
      let offset = table[range]
      guard geometry.isAligned(offset), geometry.cluster(of: offset) < UInt64(counts.count),
        geometry.cluster(of: offset) > 0, seen.insert(offset).inserted
      else {
        areCountsDamaged = true
        report.noteCorruption("refcount table entry \(range) cannot be \(offset)")
        continue
      }
      take(offset, geometry.clusterByteCount, "a refcount block")
      blocks.append((range, offset))
    }
  }

  private mutating func takeLevel1(
    _ offset: UInt64, _ size: UInt32, isActive: Bool
  ) throws(BlockError) {
    let byteCount = UInt64(size) * 8
    guard byteCount > 0 else { return }
    guard geometry.cluster(of: offset + byteCount - 1) < UInt64(counts.count) else {
      report.noteCorruption("an L1 table at \(offset) lies beyond the end of the file")
      return
    }
    // So many tables may lie over others that all together are read in bounded time.
    let first = Int(geometry.cluster(of: offset))
    let last = Int(geometry.cluster(of: offset + byteCount - 1))
    guard counts[first...last].allSatisfy({ $0 < 2 }) else {
      report.noteCorruption("an L1 table at \(offset) lies over others")
      return
    }
    take(offset, byteCount, "an L1 table")
    let words = try storage.words(at: offset, count: Int(size))
    for (index, word) in words.enumerated() where word != 0 {
      let table = word & Mapping.offsetMask
      guard table != 0 else { continue }
      let place = offset + UInt64(index) * 8
      guard geometry.isAligned(table), geometry.cluster(of: table) < UInt64(counts.count) else {
        report.noteCorruption("the L1 entry at \(place) leads to \(table)")
        if isActive { badEntries.append(place) }
        continue
      }
      take(table, geometry.clusterByteCount, "an L2 table")
      tables[table, default: TableUse()].count += 1
      if isActive {
        tables[table]?.active = (UInt64(index) * geometry.wordsPerCluster, place)
      }
    }
  }

  private mutating func takeLevel2(_ offset: UInt64, _ use: TableUse) throws(BlockError) {
    let words = try storage.words(at: offset, count: Int(geometry.wordsPerCluster))
    var expected: UInt64?
    for (index, word) in words.enumerated() where word != 0 {
      let place = offset + UInt64(index) * 8
      let mapping: Mapping
      do throws(BlockError) {
        mapping = try Mapping(
          entry: word, version: header.version, geometry: geometry, place: place)
        if let run = mapping.hostClusters(geometry),
          run.end > UInt64(counts.count) || run.start == 0
        {
          throw .corrupt(imageOffset: place)
        }
      } catch {
        report.noteCorruption("the L2 entry at \(place) leads nowhere")
        badEntries.append(place)
        continue
      }
      guard let run = mapping.hostClusters(geometry) else { continue }
      take(
        geometry.offset(of: run.start), run.count * geometry.clusterByteCount,
        references: use.count, "data")
      if use.active != nil { note(mapping, &expected) }
    }
  }

  private mutating func note(_ mapping: Mapping, _ expected: inout UInt64?) {
    switch mapping {
    case .data(let host, _), .zero(host: let host?, _):
      report.allocatedClusters += 1
      if let expected, expected != host { report.fragmentedClusters += 1 }
      expected = host + geometry.clusterByteCount
    case .compressed:
      report.allocatedClusters += 1
      report.compressedClusters += 1
      // Compressed clusters have no order.
      report.fragmentedClusters += 1
    case .unallocated, .zero: break
    }
  }

  /// The directory of bitmaps, their tables and their clusters, if they are said to be consistent.
  private mutating func takeBitmaps() throws(BlockError) {
    guard header.autoclear.contains(.bitmaps), let bitmaps = header.bitmaps else { return }
    let end = bitmaps.directoryOffset.addingReportingOverflow(bitmaps.directoryByteCount)
    guard bitmaps.count <= 65_535, bitmaps.directoryByteCount <= 64 << 20, !end.overflow,
      geometry.clusters(for: end.partialValue) <= UInt64(counts.count)
    else {
      report.noteCorruption("the directory of bitmaps is out of bounds")
      return
    }
    take(bitmaps.directoryOffset, bitmaps.directoryByteCount, "the directory of bitmaps")
    let buffer = MemorySegments(zeroed: Int(bitmaps.directoryByteCount))
    try storage.attempt { (storage) throws(HostError) in
      try storage.read(into: buffer, at: bitmaps.directoryOffset)
    }
    let bytes = buffer.bytes()
    var place = 0
    for _ in 0..<bitmaps.count {
      guard let offset = bytes.bigEndian(at: place, count: 8),
        let size = bytes.bigEndian(at: place + 8, count: 4),
        let nameCount = bytes.bigEndian(at: place + 18, count: 2),
        let extraCount = bytes.bigEndian(at: place + 20, count: 4),
        geometry.cluster(of: offset) < UInt64(counts.count),
        size * 8 <= UInt64(counts.count) << UInt64(geometry.clusterBits)
      else {
        report.noteCorruption("entry \(place) of the directory of bitmaps")
        return
      }
      take(offset, size * 8, "a bitmap's table")
      for word in try storage.words(at: offset, count: Int(size)) {
        let cluster = word & Mapping.offsetMask
        if cluster != 0 { take(cluster, geometry.clusterByteCount, "a bitmap") }
      }
      place += (24 + Int(nameCount) + Int(extraCount) + 7) & ~7
    }
  }

  // MARK: Flags

  /// Visits the entries of the active tables whose flag says something else than the counts: that nobody else refers
  /// to what they refer to.
  mutating func forEachWrongFlag(
    _ body: (_ place: UInt64, _ entry: UInt64) throws(BlockError) -> Void
  ) throws(BlockError) {
    let flag: UInt64 = 1 << 63
    for (offset, use) in tables.sorted(by: { $0.key < $1.key }) {
      guard let active = use.active else { continue }
      let level1 = try storage.words(at: active.place, count: 1)[0]
      let isOwned = counts[Int(geometry.cluster(of: offset))] == 1
      if (level1 & flag != 0) != isOwned {
        report.noteCorruption("the L1 entry at \(active.place) has the wrong flag")
        try body(active.place, level1 ^ flag)
      }
      let words = try storage.words(at: offset, count: Int(geometry.wordsPerCluster))
      for (index, word) in words.enumerated() where word != 0 {
        let place = offset + UInt64(index) * 8
        guard
          let mapping = try? Mapping(
            entry: word, version: header.version, geometry: geometry, place: place),
          let run = mapping.hostClusters(geometry), run.end <= UInt64(counts.count)
        else { continue }
        if case .compressed = mapping {
          guard word & flag != 0 else { continue }
        } else if (word & flag != 0) == (counts[Int(run.start)] == 1) {
          continue
        }
        report.noteCorruption("the L2 entry at \(place) has the wrong flag")
        try body(place, word ^ flag)
      }
    }
  }

  mutating func noteCorruption(_ text: @autoclosure () -> String) { report.noteCorruption(text()) }
  mutating func noteLeak(_ text: @autoclosure () -> String) { report.noteLeak(text()) }
}
