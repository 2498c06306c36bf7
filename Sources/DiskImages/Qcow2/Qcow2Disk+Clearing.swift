import DeviceModel
import HostSystem

extension Qcow2Disk {
  enum Clearing {
    /// Advice: nothing need happen.
    case discard
    /// It is to read as zeroes, and may lose its place.
    case unmap
    /// It is to read as zeroes and keep its place.
    case keep
  }

  private static let zeroes = MemorySegments(zeroed: 1 << 20)

  func clear(_ offset: UInt64, _ count: UInt64, _ clearing: Clearing) throws(BlockError) {
    guard count > 0 else { return }
    let cluster = geometry.clusterByteCount
    let end = offset + count
    let first = geometry.clusters(for: offset)
    // What lies behind the end of the disk belongs to its last cluster.
    let last = end == byteCount ? geometry.clusters(for: end) : geometry.cluster(of: end)
    guard first < last else {
      if clearing != .discard { try writeZeroes(offset, end) }
      return
    }
    if clearing != .discard { try writeZeroes(offset, first * cluster) }
    var position = first
    while position < last {
      let chunk = min(Self.mostClusters, last - position)
      try clearClusters(position...(position + chunk - 1), clearing)
      position += chunk
      if state.withLock({ $0.needsCommit }) { try commit() }
    }
    if clearing != .discard, last * cluster < end { try writeZeroes(last * cluster, end) }
  }

  private func clearClusters(
    _ clusters: ClosedRange<UInt64>, _ clearing: Clearing
  ) throws(BlockError) {
    let toWrite = try ranges.withLock(clusters, .exclusive) { () throws(BlockError) in
      try state.withLock { (state) throws(BlockError) -> [UInt64] in
        guard !state.isDamaged else { throw .corrupt(imageOffset: 0) }
        var toWrite: [UInt64] = []
        for cluster in clusters {
          let old = try state.mapping(of: cluster)
          guard let new = cleared(old, clearing) else {
            toWrite.append(cluster)
            continue
          }
          guard new != old else { continue }
          try state.beginChanges()
          try state.set(new, of: cluster)
        }
        return toWrite
      }
    }
    for cluster in toWrite where clearing != .discard {
      let start = cluster * geometry.clusterByteCount
      try writeZeroes(start, min(byteCount, start + geometry.clusterByteCount))
    }
  }

  /// What a cluster becomes; `nil` if zeroes have to be written to it.
  private func cleared(_ old: Mapping, _ clearing: Clearing) -> Mapping? {
    // Version 2 has no zero clusters, and what is not allocated reads as the backing file.
    let plain: Mapping? =
      backing == nil ? .unallocated : version >= 3 ? .zero(host: nil, isOwned: false) : nil
    switch (old, clearing) {
    case (.unallocated, .discard): return old
    case (.unallocated, _) where backing == nil: return old
    case (.zero(host: nil, _), _): return old
    case (.zero, .keep): return old
    case (.data(let host, isOwned: true), .keep):
      return version >= 3 ? .zero(host: host, isOwned: true) : nil
    default: return plain
    }
  }

  private func writeZeroes(_ start: UInt64, _ end: UInt64) throws(BlockError) {
    var position = start
    while position < end {
      let count = min(end - position, UInt64(Self.zeroes.byteCount))
      try write(from: Self.zeroes.slice(from: 0, count: Int(count)), at: position)
      position += count
    }
  }
}
