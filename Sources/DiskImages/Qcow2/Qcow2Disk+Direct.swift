import DeviceModel
import HostSystem

/// Transfers of data that have their place, for whoever need not wait for them.
extension Qcow2Disk {
  var directFile: ImageFile? { storage as? ImageFile }

  /// Reads, and writes over data that are this image's alone: none of them changes a table.
  func beginDirect(_ request: BlockRequest) -> DirectTransfer? {
    let isWrite: Bool
    switch request {
    case .read: isWrite = false
    case .write(_, _, let isDurable):
      guard !isReadOnly, !isDurable else { return nil }
      isWrite = true
    case .flush, .discard, .writeZeroes: return nil
    }
    guard let (offset, count) = request.range, count > 0, offset <= byteCount,
      count <= byteCount - offset
    else { return nil }
    let clusters = clusters(offset, count)
    guard UInt64(clusters.count) <= Self.mostClusters,
      let lock = ranges.lockIfFree(clusters, .shared)
    else { return nil }
    let place = state.withLockIfFree { state in
      state.place(of: clusters, forWriting: isWrite)
    }
    guard let place else {
      ranges.unlock(lock)
      return nil
    }
    let start = place + (offset - clusters.lowerBound * geometry.clusterByteCount)
    switch request {
    case .read(_, let buffer):
      return DirectTransfer(request: .read(offset: start, into: buffer), lock: lock)
    case .write(_, let buffer, _):
      return DirectTransfer(
        request: .write(offset: start, from: buffer, isDurable: false), lock: lock)
    case .flush, .discard, .writeZeroes: return nil
    }
  }

  func endDirect(_ transfer: DirectTransfer) { ranges.unlock(transfer.lock) }
}

extension Qcow2Metadata {
  /// Where clusters lie in the file, one after the other; `nil` if they do not, or the file would have to be asked.
  ///
  /// - Parameter forWriting: they must be this image's alone.
  fileprivate mutating func place(
    of clusters: ClosedRange<UInt64>, forWriting: Bool
  ) -> UInt64? {
    guard !isDamaged || !forWriting,
      clusters.allSatisfy({ map.knows($0, end: refcounts.end) }),
      let extents = try? extents(from: clusters.lowerBound, upTo: UInt64(clusters.count)),
      extents.count == 1, case .data(let host, let isOwned) = extents[0].mapping
    else { return nil }
    if forWriting {
      let count = UInt64(clusters.count) * geometry.clusterByteCount
      guard isOwned, (try? checkTarget(host, count)) != nil else { return nil }
    }
    return host
  }
}
