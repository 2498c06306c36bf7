import DeviceModel
import HostSystem

/// Those that wait for what they wrote to become durable. One of them carries it out for all that came before it began.
struct CommitQueue: Sendable {
  var requested: UInt64 = 0
  var completed: UInt64 = 0
  var isRunning = false
}

extension Qcow2Disk {
  /// Changes of the tables on their way to the file.
  private struct Changes {
    var blocks: [TableCache.Slice] = []
    var tableEntries: [WordTable.Write] = []
    var isTableMoved = false
    var level2: [TableCache.Slice] = []
    var level1: [WordTable.Write] = []
    var released: [ClusterRun] = []

    var isEmpty: Bool {
      blocks.isEmpty && tableEntries.isEmpty && level2.isEmpty && level1.isEmpty
        && released.isEmpty
    }
  }

  /// Makes durable all that was completed before.
  func commit() throws(BlockError) {
    let ticket = commits.withLock { queue in
      queue.requested += 1
      return queue.requested
    }
    let target: UInt64? = commits.wait { queue -> UInt64?? in
      if queue.completed >= ticket { return .some(nil) }
      guard !queue.isRunning else { return nil }
      queue.isRunning = true
      return queue.requested
    }
    guard let target else { return }
    do throws(BlockError) {
      _ = try writeChanges(isClosing: false)
    } catch {
      // Those that wait try it themselves, and see how it fails for them.
      commits.update { $0.isRunning = false }
      throw error
    }
    commits.update { queue in
      queue.isRunning = false
      queue.completed = max(queue.completed, target)
    }
  }

  /// Leaves the file as it is to be found: with all tables in it, and no mark that says otherwise.
  func finish() throws(BlockError) {
    while try writeChanges(isClosing: true) {}
    try state.withLock { (state) throws(BlockError) in
      guard !state.isDamaged, state.header.incompatible.contains(.dirty) else { return }
      try state.setIncompatible(state.header.incompatible.subtracting(.dirty))
      try storage.barrier()
    }
  }

  /// Writes what was changed so that the file is consistent at every moment, whatever part of the writes since the last
  /// barrier reached the disk:
  ///
  /// 1. reference counts that rose, and (before this) data and new tables; barrier
  /// 2. the refcount table, then the header where it moved; barriers
  /// 3. L2 tables, which refer to what is there now and is counted; barrier
  /// 4. the L1 table, likewise; barrier
  /// 5. only now, what nothing in the file refers to any more is free.
  ///
  /// An image with lazy reference counts leaves out 1 and 2: its dirty bit has them computed anew.
  ///
  /// - Returns: whether there was something to write.
  func writeChanges(isClosing: Bool) throws(BlockError) -> Bool {
    var changes = try state.withLock { (state) throws(BlockError) in
      guard !state.isDamaged else { throw .corrupt(imageOffset: 0) }
      return Self.takeChanges(&state, withCounts: isClosing || !state.postponesCounts)
    }
    do throws(BlockError) {
      try changes.blocks.write(to: storage)
      try storage.barrier()
      guard !changes.isEmpty else { return false }
      if !changes.tableEntries.isEmpty {
        try changes.tableEntries.write(to: storage)
        try storage.barrier()
      }
      if changes.isTableMoved {
        try state.withLock { (state) throws(BlockError) in try state.writeTablePlace() }
        try storage.barrier()
      }
      if !changes.level2.isEmpty {
        try changes.level2.write(to: storage)
        try storage.barrier()
      }
      if !changes.level1.isEmpty {
        try changes.level1.write(to: storage)
        try storage.barrier()
      }
    } catch {
      state.withLock { Self.putBack(changes, &$0) }
      throw error
    }
    if !changes.released.isEmpty { decompressor.forget() }
    let free = changes.released
    changes.released = []
    try state.withLock { (state) throws(BlockError) in
      state.map.level2.endWriting(changes.level2, succeeded: true)
      state.refcounts.blocks.endWriting(changes.blocks, succeeded: true)
    }
    try release(free)
    return true
  }

  private static func takeChanges(
    _ state: inout Qcow2Metadata, withCounts: Bool
  ) -> Changes {
    var changes = Changes()
    // A table that moved takes the old one with it.
    if withCounts || state.refcounts.isMoved {
      changes.blocks = state.refcounts.blocks.beginWriting()
      changes.tableEntries = state.refcounts.takeTableWrites()
      changes.isTableMoved = state.refcounts.isMoved
      state.refcounts.isMoved = false
      state.released += state.refcounts.takeRetired()
    }
    changes.level2 = state.map.level2.beginWriting()
    changes.level1 = state.map.level1.takeWrites()
    changes.released = state.released
    state.released = []
    return changes
  }

  private static func putBack(_ changes: Changes, _ state: inout Qcow2Metadata) {
    state.refcounts.blocks.endWriting(changes.blocks, succeeded: false)
    state.map.level2.endWriting(changes.level2, succeeded: false)
    state.refcounts.putBack(changes.tableEntries)
    state.map.level1.putBack(changes.level1)
    state.refcounts.isMoved = state.refcounts.isMoved || changes.isTableMoved
    state.released = changes.released + state.released
  }

  /// Frees clusters that nothing in the file refers to any more, and gives their space back to the host.
  private func release(_ runs: [ClusterRun]) throws(BlockError) {
    for run in runs {
      // Nobody can take them before their counts are down, so the holes can be made without the lock.
      let isLast = try state.withLock { (state) throws(BlockError) in
        try (run.start..<run.end).map { (cluster) throws(BlockError) in
          try state.refcounts.count(of: cluster) == 1
        }
      }
      var index = 0
      while index < isLast.count {
        var end = index
        while end < isLast.count, isLast[end] { end += 1 }
        if end > index {
          // A file system that cannot keeps the blocks.
          try? storage.punchHole(
            at: geometry.offset(of: run.start + UInt64(index)),
            byteCount: UInt64(end - index) << UInt64(geometry.clusterBits))
        }
        index = max(end, index + 1)
      }
      try state.withLock { (state) throws(BlockError) in try state.refcounts.release(run) }
    }
  }
}

extension Qcow2Metadata {
  /// Reference counts need not be in the file before the image is closed.
  var postponesCounts: Bool {
    header.hasLazyRefcounts && !refcounts.blocks.needsWriting
  }

  /// Before the first change: the file says that its reference counts may be too high from now on (or, with lazy
  /// ones, anything), so that who opens it next repairs them, unless it is closed before.
  mutating func beginChanges() throws(BlockError) {
    guard header.version >= 3, !header.incompatible.contains(.dirty) else { return }
    let features = header.incompatible.union(.dirty)
    try storage.write(words: [features.rawValue], at: Qcow2Header.Field.incompatible)
    try storage.write(words: [header.autoclear.rawValue], at: Qcow2Header.Field.autoclear)
    try storage.barrier()
    header.incompatible = features
  }

  mutating func setIncompatible(_ features: Qcow2Header.Incompatible) throws(BlockError) {
    try storage.write(words: [features.rawValue], at: Qcow2Header.Field.incompatible)
    header.incompatible = features
  }

  /// Has the header refer to the refcount table where it is now.
  mutating func writeTablePlace() throws(BlockError) {
    header.refcountTableOffset = refcounts.table.offset
    header.refcountTableClusters = UInt32(refcounts.tableClusters)
    var bytes: [UInt8] = []
    bytes.append(bigEndian: header.refcountTableOffset, count: 8)
    bytes.append(bigEndian: UInt64(header.refcountTableClusters), count: 4)
    let buffer = MemorySegments(zeroed: bytes.count)
    buffer.write(bytes)
    try storage.attempt { (storage) throws(HostError) in
      try storage.write(from: buffer, at: Qcow2Header.Field.refcountTableOffset)
    }
  }
}
