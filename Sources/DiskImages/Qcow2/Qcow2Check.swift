import DeviceModel
import HostSystem

/// Compares an image's reference counts with what its tables refer to, and repairs them.
struct Qcow2Check {
  private let storage: any ImageStorage
  private let header: Qcow2Header
  private let geometry: Qcow2Geometry

  init(_ storage: any ImageStorage, _ header: Qcow2Header) {
    self.storage = storage
    self.header = header
    geometry = header.geometry
  }

  /// A count that is not what it should be.
  private struct WrongCount {
    var cluster: UInt64
    var stored: UInt64
    var counted: UInt64
  }

  /// Looks, and changes nothing.
  func check() throws(BlockError) -> CheckReport {
    var scan = try Qcow2Scan(storage, header)
    try forEachWrongCount(&scan) { (_, _) in }
    try scan.forEachWrongFlag { (_, _) in }
    return scan.report
  }

  /// Repairs what `mode` allows. Whenever it is interrupted, it can be done again.
  ///
  /// - Returns: what is left, and what was repaired.
  func repair(_ mode: RepairMode) throws(BlockError) -> CheckReport {
    let before = try check()
    if mode != .leaks { try raise(mode) }
    try lower(mode)
    let present: Qcow2Header
    do throws(DiskImageProblem) {
      present = try Qcow2Header(reading: storage)
    } catch {
      throw .corrupt(imageOffset: 0)
    }
    var after = try Qcow2Check(storage, present).check()
    after.corruptionsFixed = max(0, before.corruptions - after.corruptions)
    after.leaksFixed = max(0, before.leaks - after.leaks)
    after.findings = before.findings
    if after.corruptions == 0 && after.leaks == 0 { try clearMarks(present) }
    return after
  }

  private func clearMarks(_ present: Qcow2Header) throws(BlockError) {
    let marks: Qcow2Header.Incompatible = [.dirty, .corrupt]
    guard !present.incompatible.isDisjoint(with: marks) else { return }
    try storage.barrier()
    try storage.write(
      words: [present.incompatible.subtracting(marks).rawValue],
      at: Qcow2Header.Field.incompatible)
    try storage.barrier()
  }

  /// First what must not be too low: counts, and flags that say that a cluster may be overwritten.
  private func raise(_ mode: RepairMode) throws(BlockError) {
    var scan = try Qcow2Scan(storage, header)
    let disk = try openForRepair()
    try disk.state.withLock { (state) throws(BlockError) in
      if scan.areCountsDamaged { try state.refcounts.startAnew(behind: scan.fileByteCount) }
      state.refcounts.searchStart = state.refcounts.end
      if scan.areCountsDamaged {
        for (cluster, count) in scan.counts.enumerated() where count > 0 {
          try setCount(UInt64(count), of: UInt64(cluster), &state)
        }
      } else {
        try forEachWrongCount(&scan) { (wrong, _) throws(BlockError) in
          guard wrong.counted > wrong.stored else { return }
          try setCount(wrong.counted, of: wrong.cluster, &state)
        }
      }
    }
    try disk.writeAll()
    try scan.forEachWrongFlag { (place, entry) throws(BlockError) in
      if entry >> 63 == 0 { try storage.write(words: [entry], at: place) }
    }
    if mode == .all {
      for place in scan.badEntries {
        // What can be read no more reads as zeroes: as the backing file where there are no zero clusters.
        let isLevel1 =
          place >= header.level1Offset
          && place < header.level1Offset + UInt64(header.level1Size) * 8
        try storage.write(words: [header.version >= 3 && !isLevel1 ? 1 : 0], at: place)
      }
    }
    try storage.barrier()
  }

  /// Then what must not be too high.
  private func lower(_ mode: RepairMode) throws(BlockError) {
    let disk = try openForRepair()
    let header = disk.state.withLock { $0.header }
    var scan = try Qcow2Scan(storage, header)
    guard !scan.areCountsDamaged else { return }
    try disk.state.withLock { (state) throws(BlockError) in
      try Qcow2Check(storage, header).forEachWrongCount(&scan) { (wrong, _) throws(BlockError) in
        guard wrong.counted < wrong.stored else { return }
        try setCount(wrong.counted, of: wrong.cluster, &state)
      }
    }
    try disk.writeAll()
    guard mode != .leaks else { return }
    try scan.forEachWrongFlag { (place, entry) throws(BlockError) in
      try storage.write(words: [entry], at: place)
    }
    try storage.barrier()
  }

  private func setCount(
    _ count: UInt64, of cluster: UInt64, _ state: inout Qcow2Metadata
  ) throws(BlockError) {
    guard count <= geometry.largestRefcount else {
      throw .corrupt(imageOffset: geometry.offset(of: cluster))
    }
    try state.beginChanges()
    try state.refcounts.setCount(count, of: cluster)
  }

  private func openForRepair() throws(BlockError) -> Qcow2Disk {
    var present: Qcow2Header
    do throws(DiskImageProblem) {
      present = try Qcow2Header(reading: storage)
    } catch {
      throw .corrupt(imageOffset: 0)
    }
    present.autoclear = []
    return try Qcow2Disk(storage, present, backing: nil, isReadOnly: false, isChecked: false)
  }

  /// Visits the clusters whose stored counts are not those of the scan.
  private func forEachWrongCount(
    _ scan: inout Qcow2Scan, _ body: (WrongCount, inout Qcow2Scan) throws(BlockError) -> Void
  ) throws(BlockError) {
    let counts = scan.counts
    var next: UInt64 = 0
    func note(_ wrong: WrongCount) throws(BlockError) {
      if wrong.counted > wrong.stored {
        scan.noteCorruption(
          "cluster \(wrong.cluster) is referred to \(wrong.counted) times and counted \(wrong.stored) times"
        )
      } else {
        scan.noteLeak(
          "cluster \(wrong.cluster) is referred to \(wrong.counted) times and counted \(wrong.stored) times"
        )
      }
      try body(wrong, &scan)
    }
    /// Those without a block count 0.
    func visitUncounted(upTo end: UInt64) throws(BlockError) {
      while next < min(end, UInt64(counts.count)) {
        if counts[Int(next)] > 0 {
          try note(WrongCount(cluster: next, stored: 0, counted: UInt64(counts[Int(next)])))
        }
        next += 1
      }
    }
    for (range, offset) in scan.blocks {
      try visitUncounted(upTo: UInt64(range) * geometry.countsPerBlock)
      let words = try storage.words(at: offset, count: Int(geometry.wordsPerCluster))
      for index in 0..<geometry.countsPerBlock {
        let cluster = UInt64(range) * geometry.countsPerBlock + index
        let (word, shift) = geometry.place(ofCount: index)
        // Most are zero behind the end of the file.
        let stored = words[Int(word)] >> shift & geometry.largestRefcount
        let counted = cluster < UInt64(counts.count) ? UInt64(counts[Int(cluster)]) : 0
        if stored != counted {
          try note(WrongCount(cluster: cluster, stored: stored, counted: counted))
        }
      }
      next = (UInt64(range) + 1) * geometry.countsPerBlock
    }
    try visitUncounted(upTo: UInt64(counts.count))
  }
}

extension Qcow2Disk {
  /// Has all changes of the tables reach the file.
  func writeAll() throws(BlockError) {
    while try writeChanges(isClosing: true) {}
  }
}
