import DeviceModel
import HostSystem

/// What the snapshot table says of the snapshots within an image. Martlet keeps them as they are.
struct SnapshotTable: Sendable {
  struct Snapshot: Hashable, Sendable {
    var level1Offset: UInt64
    var level1Size: UInt32
    var id: String
    var name: String
    /// Seconds since the Epoch.
    var date: UInt64
    var nanoseconds: UInt64
    var vmStateByteCount: UInt64
    /// Nanoseconds that the guest had run.
    var guestTime: UInt64
  }

  var snapshots: [Snapshot] = []
  /// Of the whole table.
  var byteCount: UInt64 = 0

  /// As QEMU has it.
  static let mostSnapshots: UInt32 = 65_536
  private static let mostBytes: UInt64 = 64 << 20

  init(reading storage: any ImageStorage, header: Qcow2Header) throws(BlockError) {
    var place = header.snapshotsOffset
    for _ in 0..<header.snapshotCount {
      let fixed = try Self.bytes(storage, at: place, count: 40)
      let extra = fixed.bigEndian(at: 36, count: 4) ?? 0
      let idCount = fixed.bigEndian(at: 12, count: 2) ?? 0
      let nameCount = fixed.bigEndian(at: 14, count: 2) ?? 0
      guard extra <= 1024 else { throw .corrupt(imageOffset: place + 36) }
      let rest = try Self.bytes(storage, at: place + 40, count: Int(extra + idCount + nameCount))
      let size = fixed.bigEndian(at: 8, count: 4) ?? 0
      let offset = fixed.bigEndian(at: 0, count: 8) ?? 0
      guard size <= UInt64(Qcow2Geometry.mostLevel1Entries), header.geometry.isAligned(offset),
        offset < Qcow2Geometry.hostOffsetLimit
      else { throw .corrupt(imageOffset: place) }
      let id = rest[Int(extra)..<Int(extra + idCount)]
      let name = rest[Int(extra + idCount)...]
      snapshots.append(
        Snapshot(
          level1Offset: offset, level1Size: UInt32(size), id: String(decoding: id, as: UTF8.self),
          name: String(decoding: name, as: UTF8.self),
          date: fixed.bigEndian(at: 16, count: 4) ?? 0,
          nanoseconds: fixed.bigEndian(at: 20, count: 4) ?? 0,
          vmStateByteCount: (extra >= 8 ? rest.bigEndian(at: 0, count: 8) : nil)
            ?? fixed.bigEndian(at: 32, count: 4) ?? 0,
          guestTime: fixed.bigEndian(at: 24, count: 8) ?? 0))
      place += (40 + extra + idCount + nameCount + 7) & ~7
      byteCount = place - header.snapshotsOffset
      guard byteCount <= Self.mostBytes else { throw .corrupt(imageOffset: place) }
    }
  }

  private static func bytes(
    _ storage: any ImageStorage, at offset: UInt64, count: Int
  ) throws(BlockError) -> [UInt8] {
    let buffer = MemorySegments(zeroed: count)
    try storage.attempt { (storage) throws(HostError) in try storage.read(into: buffer, at: offset)
    }
    return buffer.bytes()
  }
}
