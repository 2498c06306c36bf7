import DeviceModel
import HostSystem

extension Qcow2Disk {
  func read(into buffer: MemorySegments, at offset: UInt64) throws(BlockError) {
    guard buffer.byteCount > 0 else { return }
    guard !isReadOnly else { return try readLocked(into: buffer, at: offset) }
    try ranges.withLock(clusters(offset, UInt64(buffer.byteCount)), .shared) {
      () throws(BlockError) in
      try readLocked(into: buffer, at: offset)
    }
  }

  /// Reads a range whose clusters stay where they are. It may go beyond the disk's end, up to the end of its last cluster.
  func readLocked(into buffer: MemorySegments, at offset: UInt64) throws(BlockError) {
    let end = offset + UInt64(buffer.byteCount)
    var position = offset
    while position < end {
      let first = geometry.cluster(of: position)
      let count = min(Self.mostClusters, geometry.clusters(for: end) - first)
      let extents = try state.withLock { (state) throws(BlockError) in
        try state.extents(from: first, upTo: count)
      }
      for extent in extents {
        let extentEnd = min(end, extent.end * geometry.clusterByteCount)
        let part = buffer.slice(
          from: Int(position - offset), count: Int(extentEnd - position))
        try read(extent, into: part, at: position)
        position = extentEnd
      }
    }
  }

  private func read(
    _ extent: Extent, into buffer: MemorySegments, at position: UInt64
  ) throws(BlockError) {
    switch extent.mapping {
    case .zero: buffer.clear(from: 0, count: buffer.byteCount)
    case .unallocated:
      if let backing {
        try backing.readClipped(into: buffer, at: position)
      } else {
        buffer.clear(from: 0, count: buffer.byteCount)
      }
    case .data(let host, _):
      let place = host + (position - extent.start * geometry.clusterByteCount)
      try storage.attempt { (storage) throws(HostError) in try storage.read(into: buffer, at: place)
      }
    case .compressed(let cluster):
      let start = Int(position - extent.start * geometry.clusterByteCount)
      try decompressor.read(cluster, from: start, into: buffer)
    }
  }
}
