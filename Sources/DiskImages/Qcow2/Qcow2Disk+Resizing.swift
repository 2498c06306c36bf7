import DeviceModel
import HostSystem

extension Qcow2Disk {
  /// Changes the disk's size in the file. Afterwards the image is to be closed and opened again.
  ///
  /// Guests see zeroes where the disk grew: `clearGrowth` of the image opened again sees to it.
  func resize(to newByteCount: UInt64) throws(DiskImageProblem) {
    let entries = geometry.level1Entries(for: newByteCount)
    guard entries <= Qcow2Geometry.mostLevel1Entries else {
      throw .invalid("\(newByteCount) bytes are too many for clusters of this size")
    }
    let hasSnapshots = state.withLock { !$0.snapshots.snapshots.isEmpty }
    guard !hasSnapshots || (version >= 3 && newByteCount >= byteCount) else {
      throw .invalid("it has snapshots of another size: delete them with `qemu-img snapshot -d`")
    }
    try DiskImageProblem.block { () throws(BlockError) in
      if newByteCount < byteCount { try dropClusters(from: geometry.clusters(for: newByteCount)) }
      try writeAll()
      let old = try state.withLock { (state) throws(BlockError) in
        try state.beginChanges()
        return entries > UInt64(state.map.level1.count)
          ? try state.moveLevel1(entries: Int(entries)) : nil
      }
      // The new table, and that it is counted.
      try writeAll()
      try state.withLock { (state) throws(BlockError) in
        try state.writeSize(newByteCount)
        try storage.barrier()
        if let old { state.released.append(old) }
      }
    }
  }

  /// Forgets the clusters behind the new end.
  private func dropClusters(from first: UInt64) throws(BlockError) {
    var position = first
    let end = geometry.clusters(for: byteCount)
    while position < end {
      let count = min(Self.mostClusters, end - position)
      try state.withLock { (state) throws(BlockError) in
        for cluster in position..<position + count
        where try state.mapping(of: cluster) != .unallocated {
          try state.beginChanges()
          try state.set(.unallocated, of: cluster)
        }
      }
      position += count
      if state.withLock({ $0.needsCommit }) { try commit() }
    }
  }

  /// Has what lies behind the former end read as zeroes, whatever the last cluster or the backing file has there.
  func clearGrowth(from oldByteCount: UInt64) throws(BlockError) {
    guard oldByteCount < byteCount else { return }
    let visible = max(
      geometry.clusters(for: oldByteCount) * geometry.clusterByteCount, backing?.byteCount ?? 0)
    try clear(oldByteCount, min(byteCount, visible) - oldByteCount, .unmap)
  }
}

extension Qcow2Metadata {
  /// Copies the L1 table to a place where it can be larger.
  ///
  /// - Returns: where it was.
  mutating func moveLevel1(entries: Int) throws(BlockError) -> ClusterRun? {
    let count = geometry.clusters(for: UInt64(entries) * 8)
    let run = try refcounts.allocateTogether(count)
    let old = ClusterRun(
      start: geometry.cluster(of: map.level1.offset),
      count: geometry.clusters(for: UInt64(map.level1.count) * 8))
    let padding = Int(count * geometry.wordsPerCluster) - map.level1.count
    try storage.write(
      words: map.level1.words + [UInt64](repeating: 0, count: padding),
      at: geometry.offset(of: run.start))
    for cluster in run.start..<run.end { refcounts.reserve(cluster) }
    header.level1Offset = geometry.offset(of: run.start)
    header.level1Size = UInt32(entries)
    return old.count > 0 ? old : nil
  }

  /// The header's fields for the disk's size and the L1 table, which lie in one sector.
  mutating func writeSize(_ byteCount: UInt64) throws(BlockError) {
    header.virtualByteCount = byteCount
    try storage.write(
      words: [byteCount, UInt64(header.level1Size), header.level1Offset],
      at: Qcow2Header.Field.virtualByteCount)
  }
}

extension DiskImage {
  /// Changes a disk's size.
  ///
  /// - Parameter mayShrink: what lies behind a new end is lost.
  public static func resize(
    path: String, format: ImageFormat? = nil, to byteCount: UInt64, mayShrink: Bool
  ) throws(DiskImageError) {
    let format = try known(format, path)
    let disk = try openSynchronous(path: path, format: format, isReadOnly: false)
    let oldByteCount = disk.byteCount
    do throws(DiskImageProblem) {
      guard byteCount % 512 == 0, byteCount <= UInt64(Int64.max) else {
        throw .invalid("\(byteCount) bytes are not whole sectors of 512")
      }
      guard mayShrink || byteCount >= oldByteCount else {
        throw .invalid(
          "the disk would shrink from \(oldByteCount) bytes and lose what is at its end: "
            + "add --shrink if that is meant")
      }
      if let disk = disk as? RawDisk {
        try DiskImageProblem.block { () throws(BlockError) in try disk.resize(to: byteCount) }
      } else if let disk = disk as? Qcow2Disk {
        try disk.resize(to: byteCount)
      }
    } catch {
      try? disk.close()
      throw DiskImageError(path: path, error)
    }
    try DiskImageError.block(path) { () throws(BlockError) in try disk.close() }
    guard format == .qcow2 else { return }
    let grown = try openSynchronous(path: path, format: format, isReadOnly: false)
    try DiskImageError.block(path) { () throws(BlockError) in
      try (grown as? Qcow2Disk)?.clearGrowth(from: oldByteCount)
      try grown.close()
    }
  }
}
