import DeviceModel

/// What an L2 entry says of a guest cluster.
enum Mapping: Hashable, Sendable {
  /// It reads as the backing file does, or as zeroes.
  case unallocated
  /// It reads as zeroes; a host cluster may be kept for it.
  case zero(host: UInt64?, isOwned: Bool)
  /// It lies in the host cluster at this offset. `isOwned`: nobody else refers to that, so it may be overwritten.
  case data(host: UInt64, isOwned: Bool)
  case compressed(CompressedCluster)

  private static let copied: UInt64 = 1 << 63
  private static let isCompressed: UInt64 = 1 << 62
  private static let readsAsZeroes: UInt64 = 1
  static let offsetMask: UInt64 = 0x00FF_FFFF_FFFF_FE00

  /// - Parameter place: where the entry lies, for errors.
  init(
    entry: UInt64, version: UInt32, geometry: Qcow2Geometry, place: UInt64
  ) throws(BlockError) {
    if entry & Self.isCompressed != 0 {
      self = .compressed(CompressedCluster(entry: entry, geometry: geometry))
      return
    }
    let host = entry & Self.offsetMask
    let isOwned = entry & Self.copied != 0
    guard geometry.isAligned(host) else { throw .corrupt(imageOffset: place) }
    if entry & Self.readsAsZeroes != 0 {
      guard version >= 3 else { throw .corrupt(imageOffset: place) }
      self = .zero(host: host == 0 ? nil : host, isOwned: isOwned)
    } else {
      self = host == 0 ? .unallocated : .data(host: host, isOwned: isOwned)
    }
  }

  /// The entry that says so.
  func entry(_ geometry: Qcow2Geometry) -> UInt64 {
    switch self {
    case .unallocated: 0
    case .zero(let host, let isOwned):
      (host ?? 0) | Self.readsAsZeroes | (host != nil && isOwned ? Self.copied : 0)
    case .data(let host, let isOwned): host | (isOwned ? Self.copied : 0)
    case .compressed(let cluster): cluster.entry(geometry) | Self.isCompressed
    }
  }

  /// The host clusters that the entry refers to.
  func hostClusters(_ geometry: Qcow2Geometry) -> ClusterRun? {
    switch self {
    case .unallocated, .zero(host: nil, _): nil
    case .zero(host: let host?, _), .data(let host, _):
      ClusterRun(start: geometry.cluster(of: host), count: 1)
    case .compressed(let cluster): cluster.hostClusters(geometry)
    }
  }
}

/// Where the data of a compressed cluster lie.
struct CompressedCluster: Hashable, Sendable {
  /// Of the first byte; aligned to nothing.
  var offset: UInt64
  /// Up to the end of the last sector: the data may end earlier.
  var byteCount: UInt64

  /// How many bits of the entry are the offset.
  static func offsetBits(_ geometry: Qcow2Geometry) -> UInt64 {
    62 - (UInt64(geometry.clusterBits) - 8)
  }

  init(offset: UInt64, byteCount: UInt64) {
    self.offset = offset
    self.byteCount = byteCount
  }

  init(entry: UInt64, geometry: Qcow2Geometry) {
    let bits = Self.offsetBits(geometry)
    offset = entry & ((1 << bits) - 1)
    let sectors = entry >> bits & ((1 << (62 - bits)) - 1)
    byteCount = (sectors + 1) * 512 - offset % 512
  }

  func entry(_ geometry: Qcow2Geometry) -> UInt64 {
    let sectors = (offset % 512 + byteCount - 1) / 512
    return offset | sectors << Self.offsetBits(geometry)
  }

  func hostClusters(_ geometry: Qcow2Geometry) -> ClusterRun {
    let first = geometry.cluster(of: offset)
    return ClusterRun(
      start: first, count: geometry.cluster(of: offset + byteCount - 1) - first + 1)
  }
}
