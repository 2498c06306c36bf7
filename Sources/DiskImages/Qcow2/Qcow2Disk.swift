import DeviceModel
import HostSystem

/// A qcow2 image (QEMU's docs/interop/qcow2.txt) as a disk.
///
/// Data move outside of the lock on the tables, from several threads at once; `RangeLocks` keeps those apart that
/// would disturb each other. The order of locks is: ranges, commits, tables.
final class Qcow2Disk: SynchronousDisk {
  let storage: any ImageStorage
  /// What is read where this image says nothing.
  let backing: (any SynchronousDisk)?
  let geometry: Qcow2Geometry
  let state: Monitor<Qcow2Metadata>
  let ranges = RangeLocks()
  let commits = Monitor(CommitQueue())
  let decompressor: Decompressor

  let byteCount: UInt64
  let isReadOnly: Bool
  let version: UInt32
  let canDiscard = true
  var preferredByteCount: UInt32 { UInt32(geometry.clusterByteCount) }

  /// The most clusters that one hold of the lock looks at.
  static let mostClusters: UInt64 = 1024

  /// Opens an image. One that was not closed has its reference counts repaired, if it is opened for writing.
  convenience init(
    storage: any ImageStorage, backing: (any SynchronousDisk)?, isReadOnly: Bool
  ) throws(DiskImageProblem) {
    var header = try Qcow2Header(reading: storage)
    if !isReadOnly {
      guard !header.incompatible.contains(.corrupt) else { throw .markedCorrupt }
      if header.needsRepairForWriting {
        do throws(BlockError) {
          _ = try Qcow2Check(storage, header).repair(.counts)
        } catch {
          throw DiskImageProblem(error)
        }
        header = try Qcow2Header(reading: storage)
      }
      header.autoclear = []
    }
    do throws(BlockError) {
      try self.init(storage, header, backing: backing, isReadOnly: isReadOnly, isChecked: true)
    } catch {
      throw DiskImageProblem(error)
    }
  }

  /// - Parameter isChecked: no two tables may overlap; without, an image may be opened that is to be repaired.
  init(
    _ storage: any ImageStorage, _ header: Qcow2Header, backing: (any SynchronousDisk)?,
    isReadOnly: Bool, isChecked: Bool
  ) throws(BlockError) {
    self.storage = storage
    self.backing = backing
    self.isReadOnly = isReadOnly
    geometry = header.geometry
    version = header.version
    byteCount = header.virtualByteCount & ~511
    decompressor = Decompressor(storage: storage, header: header)
    state = Monitor(
      try Qcow2Metadata(storage: storage, header: header, forWriting: isChecked && !isReadOnly))
  }

  func perform(_ request: BlockRequest) throws(BlockError) {
    if let (offset, count) = request.range {
      guard offset <= byteCount, count <= byteCount - offset else { throw .outOfRange }
      if request.isModification && isReadOnly { throw .readOnly }
    }
    do throws(BlockError) {
      switch request {
      case .read(let offset, let buffer): try read(into: buffer, at: offset)
      case .write(let offset, let buffer, let isDurable):
        try write(from: buffer, at: offset)
        if isDurable { try commit() }
      case .flush: if !isReadOnly { try commit() }
      case .discard(let offset, let count): try clear(offset, count, .discard)
      case .writeZeroes(let offset, let count, let mayUnmap):
        try clear(offset, count, mayUnmap ? .unmap : .keep)
      }
    } catch {
      if case .corrupt = error, request.isModification { noteDamage() }
      throw error
    }
    if request.isModification, state.withLock({ $0.needsCommit }) { try commit() }
  }

  /// Nothing more is written to an image that contradicts itself, and whoever opens it next hears of it.
  private func noteDamage() {
    state.withLock { state in
      guard !state.isDamaged else { return }
      state.isDamaged = true
      // The request fails with the damage itself; whether it could be noted is second to that.
      if version >= 3 {
        try? state.setIncompatible(state.header.incompatible.union(.corrupt))
      }
    }
  }

  /// The guest clusters that hold a range.
  func clusters(_ offset: UInt64, _ count: UInt64) -> ClosedRange<UInt64> {
    geometry.cluster(of: offset)...geometry.cluster(of: offset + max(1, count) - 1)
  }

  func nextData(from offset: UInt64) throws(BlockError) -> UInt64? {
    var cluster = geometry.cluster(of: offset)
    let end = geometry.clusters(for: byteCount)
    while cluster < end {
      let count = min(Self.mostClusters, end - cluster)
      let extents = try state.withLock { (state) throws(BlockError) in
        try state.extents(from: cluster, upTo: count)
      }
      for extent in extents {
        let start = max(offset, extent.start * geometry.clusterByteCount)
        switch extent.mapping {
        case .data, .compressed: return start
        case .zero: continue
        case .unallocated:
          guard let next = try backing?.nextData(from: start) else { continue }
          if next < extent.end * geometry.clusterByteCount { return next }
        }
      }
      cluster += count
    }
    return nil
  }

  func close() throws(BlockError) {
    defer {
      storage.unlock()
    }
    try backing?.close()
    if !isReadOnly { try finish() }
  }
}

extension Qcow2Header {
  init(reading storage: any ImageStorage) throws(DiskImageProblem) {
    var size: UInt64 = 0
    var bytes: [UInt8] = []
    do throws(HostError) {
      size = try storage.byteCount()
      let start = MemorySegments(zeroed: Int(min(size, 1 << 21)))
      try storage.read(into: start, at: 0)
      bytes = start.bytes()
    } catch {
      throw DiskImageProblem(error)
    }
    // Only the first cluster is the header's.
    let bits = UInt32(bytes.bigEndian(at: 20, count: 4) ?? 0)
    let count = Qcow2Geometry.clusterBitsRange.contains(bits) ? 1 << Int(bits) : 512
    try self.init(parsing: Array(bytes.prefix(count)), fileByteCount: size)
  }

  /// Whether the reference counts are to be computed anew before the image is written. Bitmaps that would be wrong
  /// after a write are given up, and what they took is free.
  var needsRepairForWriting: Bool {
    incompatible.contains(.dirty) || autoclear.contains(.bitmaps)
  }
}
