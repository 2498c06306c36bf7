import DeviceModel
import HostSystem

extension Qcow2Disk {
  /// Writes one guest cluster compressed, right behind the one before; as it is, if that is no longer.
  ///
  /// - Parameters:
  ///   - buffer: one cluster, or what the disk has of its last one.
  ///   - offset: a multiple of the cluster size, where nothing was written yet.
  func writeCompressed(_ buffer: MemorySegments, at offset: UInt64) throws(BlockError) {
    let size = Int(geometry.clusterByteCount)
    let bytes = buffer.bytes() + [UInt8](repeating: 0, count: size - buffer.byteCount)
    guard let data = state.withLock({ $0.header.compression }).compress(bytes) else {
      return try perform(.write(offset: offset, from: buffer, isDurable: false))
    }
    let place = try state.withLock { (state) throws(BlockError) in
      try state.beginChanges()
      return try state.takeBytes(UInt64(data.count))
    }
    let target = MemorySegments(zeroed: data.count)
    target.write(data)
    try storage.attempt { (storage) throws(HostError) in try storage.write(from: target, at: place)
    }
    try state.withLock { (state) throws(BlockError) in
      let sectors = (place % 512 + UInt64(data.count) + 511) / 512
      let cluster = CompressedCluster(offset: place, byteCount: sectors * 512 - place % 512)
      guard cluster.offset < 1 << CompressedCluster.offsetBits(geometry) else { throw .noSpace }
      try state.set(.compressed(cluster), of: geometry.cluster(of: offset))
    }
    if state.withLock({ $0.needsCommit }) { try commit() }
  }

  /// The file ends with a whole cluster, so that the last sector is there.
  func finishCompression() throws(BlockError) {
    let end = geometry.offset(of: state.withLock { $0.refcounts.end })
    try storage.attempt { (storage) throws(HostError) in
      if try storage.byteCount() < end { try storage.resize(to: end) }
    }
  }
}

extension Qcow2Metadata {
  /// Takes host bytes for compressed data: each cluster that they touch is referred to once more.
  fileprivate mutating func takeBytes(_ count: UInt64) throws(BlockError) -> UInt64 {
    let size = geometry.clusterByteCount
    if let end = compressedEnd, end % size != 0 {
      let current = geometry.cluster(of: end)
      let references = try refcounts.count(of: current)
      if references > 0, references < geometry.largestRefcount {
        if end % size + count <= size {
          try refcounts.retain(ClusterRun(start: current, count: 1))
          compressedEnd = end + count
          return end
        }
        let next = try refcounts.allocate(upTo: 1)
        if next.start == current + 1 {
          try refcounts.retain(ClusterRun(start: current, count: 1))
          compressedEnd = end + count
          return end
        }
        compressedEnd = geometry.offset(of: next.start) + count
        return geometry.offset(of: next.start)
      }
    }
    let run = try refcounts.allocate(upTo: 1)
    compressedEnd = geometry.offset(of: run.start) + count
    return geometry.offset(of: run.start)
  }
}
