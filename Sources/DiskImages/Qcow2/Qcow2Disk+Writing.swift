import DeviceModel
import HostSystem

extension Qcow2Disk {
  /// Guest clusters that are written together, to host clusters that follow one another.
  private struct Piece {
    /// In guest clusters.
    var start: UInt64
    var count: UInt64
    var host: UInt64
    /// What the first and the last cluster were, whose parts that are not written come along; `nil` for data that
    /// are overwritten where they are.
    var old: (first: Mapping, last: Mapping)?
    /// What is not written reads as zeroes.
    var isFresh = false
    /// The host clusters were taken for this write.
    var isNew = false
  }

  func write(from buffer: MemorySegments, at offset: UInt64) throws(BlockError) {
    let most = min(Self.mostClusters, max(1, (2 << 20) / geometry.clusterByteCount))
    var done: UInt64 = 0
    while done < UInt64(buffer.byteCount) {
      let position = offset + done
      let chunkEnd = (geometry.cluster(of: position) + most) * geometry.clusterByteCount
      let count = min(UInt64(buffer.byteCount) - done, chunkEnd - position)
      try writeChunk(buffer.slice(from: Int(done), count: Int(count)), at: position)
      done += count
      if done < UInt64(buffer.byteCount), state.withLock({ $0.needsCommit }) { try commit() }
    }
  }

  private func writeChunk(_ buffer: MemorySegments, at offset: UInt64) throws(BlockError) {
    let clusters = clusters(offset, UInt64(buffer.byteCount))
    // What has its place already may be written by several at once.
    if try ownedExtents(clusters) != nil {
      let isDone = try ranges.withLock(clusters, .shared) { () throws(BlockError) in
        guard let extents = try ownedExtents(clusters) else { return false }
        for extent in extents {
          guard case .data(let host, _) = extent.mapping else { continue }
          try writeData(
            buffer, at: offset,
            to: Piece(start: extent.start, count: extent.count, host: host))
        }
        return true
      }
      if isDone { return }
    }
    try ranges.withLock(clusters, .exclusive) { () throws(BlockError) in
      try writeAllocating(buffer, at: offset, clusters)
    }
  }

  /// The extents of clusters that can all be overwritten where they are; `nil` if some cannot.
  private func ownedExtents(_ clusters: ClosedRange<UInt64>) throws(BlockError) -> [Extent]? {
    try state.withLock { (state) throws(BlockError) in
      guard !state.isDamaged else { throw .corrupt(imageOffset: 0) }
      let extents = try state.extents(
        from: clusters.lowerBound, upTo: UInt64(clusters.count))
      for extent in extents {
        guard case .data(let host, isOwned: true) = extent.mapping else { return nil }
        try state.checkTarget(host, extent.count * geometry.clusterByteCount)
      }
      return extents
    }
  }

  /// Writes to clusters of which some have no place of their own. The data are in the file before the tables say so.
  private func writeAllocating(
    _ buffer: MemorySegments, at offset: UInt64, _ clusters: ClosedRange<UInt64>
  ) throws(BlockError) {
    let pieces = try state.withLock { (state) throws(BlockError) in
      guard !state.isDamaged else { throw .corrupt(imageOffset: 0) }
      try state.beginChanges()
      return try Self.plan(clusters, &state)
    }
    /// Pieces that the tables refer to, the last of them perhaps in part.
    var mappedCount = 0
    do throws(BlockError) {
      for piece in pieces { try writeData(buffer, at: offset, to: piece) }
      try state.withLock { (state) throws(BlockError) in
        for piece in pieces {
          mappedCount += 1
          if piece.old != nil { try Self.map(piece, &state) }
        }
      }
    } catch {
      // What could not be mapped is free again.
      state.withLock { Self.abandon(pieces.dropFirst(mappedCount), &$0) }
      throw error
    }
  }

  /// Finds a place for each cluster.
  private static func plan(
    _ clusters: ClosedRange<UInt64>, _ state: inout Qcow2Metadata
  ) throws(BlockError) -> [Piece] {
    let geometry = state.geometry
    var pieces: [Piece] = []
    do throws(BlockError) {
      let extents = try state.extents(
        from: clusters.lowerBound, upTo: UInt64(clusters.count))
      for extent in extents {
        switch extent.mapping {
        case .data(let host, isOwned: true):
          try state.checkTarget(host, extent.count * geometry.clusterByteCount)
          pieces.append(Piece(start: extent.start, count: extent.count, host: host))
        case .zero(host: let host?, isOwned: true):
          try state.checkTarget(host, geometry.clusterByteCount)
          let old = (extent.mapping, extent.mapping)
          pieces.append(Piece(start: extent.start, count: 1, host: host, old: old))
        default:
          // Its tables have their places first, so that the disk can only be full before anything is written.
          for cluster in extent.start..<extent.end
          where cluster == extent.start || cluster % geometry.wordsPerCluster == 0 {
            _ = try state.ownTable(of: cluster)
          }
          var start = extent.start
          while start < extent.end {
            let end = state.refcounts.end
            let run = try state.refcounts.allocate(upTo: extent.end - start)
            pieces.append(
              Piece(
                start: start, count: run.count, host: geometry.offset(of: run.start),
                old: (extent.mapping, extent.mapping), isFresh: state.canGrow && run.start >= end,
                isNew: true))
            start += run.count
          }
        }
      }
    } catch {
      abandon(pieces[...], &state)
      throw error
    }
    return pieces
  }

  private static func map(
    _ piece: Piece, _ state: inout Qcow2Metadata
  ) throws(BlockError) {
    for index in 0..<piece.count {
      let host = piece.host + index * state.geometry.clusterByteCount
      try state.set(.data(host: host, isOwned: true), of: piece.start + index)
    }
  }

  /// Gives back clusters that nothing refers to.
  private static func abandon(_ pieces: ArraySlice<Piece>, _ state: inout Qcow2Metadata) {
    for piece in pieces where piece.isNew {
      let start = state.geometry.cluster(of: piece.host)
      // Where even this fails they are lost until the next repair, which the dirty bit announces.
      try? state.refcounts.release(ClusterRun(start: start, count: piece.count))
    }
  }

  /// Writes the part of the buffer that belongs to the piece, with what was around it.
  private func writeData(
    _ buffer: MemorySegments, at offset: UInt64, to piece: Piece
  ) throws(BlockError) {
    let start = piece.start * geometry.clusterByteCount
    let end = (piece.start + piece.count) * geometry.clusterByteCount
    let from = max(start, offset)
    let to = min(end, offset + UInt64(buffer.byteCount))
    var parts = [buffer.slice(from: Int(from - offset), count: Int(to - from))]
    var place = piece.host + (from - start)
    if let old = piece.old {
      if from > start, let head = try fill(start, from, old.first, piece.isFresh) {
        parts.insert(head, at: 0)
        place = piece.host
      }
      if to < end, let tail = try fill(to, end, old.last, piece.isFresh) { parts.append(tail) }
    }
    let whole = parts.count == 1 ? parts[0] : MemorySegments(joining: parts)
    try storage.attempt { (storage) throws(HostError) in try storage.write(from: whole, at: place) }
  }

  /// What a range of the disk reads as; `nil` if it is zeroes, and the new place reads as zeroes anyway.
  private func fill(
    _ start: UInt64, _ end: UInt64, _ old: Mapping, _ isFresh: Bool
  ) throws(BlockError) -> MemorySegments? {
    let isZero =
      switch old {
      case .zero: true
      case .unallocated: start >= (backing?.byteCount ?? 0)
      case .data, .compressed: false
      }
    if isZero && isFresh { return nil }
    let bytes = MemorySegments(zeroed: Int(end - start))
    if !isZero {
      do throws(BlockError) {
        try readLocked(into: bytes, at: start)
      } catch .corrupt {
        // Damage of the backing file, or of compressed data: this image's tables are in order.
        throw .host(HostError(call: "read", errno: 5))
      }
    }
    return bytes
  }
}
