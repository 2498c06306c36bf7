import CCompression
import DeviceModel
import HostSystem

/// Reads compressed clusters, and remembers the last one, since readers come back for its other blocks.
final class Decompressor: Sendable {
  private let storage: any ImageStorage
  private let compression: ClusterCompression
  private let clusterByteCount: Int
  private let last = Monitor<(cluster: CompressedCluster, bytes: [UInt8])?>(nil)

  init(storage: any ImageStorage, header: Qcow2Header) {
    self.storage = storage
    compression = header.compression
    clusterByteCount = Int(header.geometry.clusterByteCount)
  }

  /// What was compressed may have become something else.
  func forget() { last.withLock { $0 = nil } }

  /// - Parameter start: which byte of the cluster comes first.
  func read(
    _ cluster: CompressedCluster, from start: Int, into buffer: MemorySegments
  ) throws(BlockError) {
    let known = last.withLock { $0?.cluster == cluster ? $0?.bytes : nil }
    let bytes: [UInt8]
    if let known {
      bytes = known
    } else {
      bytes = try decompress(cluster)
      last.withLock { $0 = (cluster, bytes) }
    }
    buffer.write(Array(bytes[start..<start + buffer.byteCount]))
  }

  private func decompress(_ cluster: CompressedCluster) throws(BlockError) -> [UInt8] {
    let buffer = MemorySegments(zeroed: Int(cluster.byteCount))
    try storage.attempt { (storage) throws(HostError) in
      try storage.read(into: buffer, at: cluster.offset)
    }
    guard
      let bytes = compression.decompress(buffer.bytes(), byteCount: clusterByteCount)
    else { throw .corrupt(imageOffset: cluster.offset) }
    return bytes
  }
}

extension ClusterCompression {
  /// What the bytes were before they were compressed; `nil` unless it is `byteCount` bytes.
  func decompress(_ source: [UInt8], byteCount: Int) -> [UInt8]? {
    var count = 0
    let target = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { target, initialized in
      // SAFETY: both calls stay within the counts they are given, and return how much they initialized.
      unsafe source.withUnsafeBytes { source in
        count =
          switch self {
          case .zlib:
            unsafe ccompression_inflate(
              source.baseAddress, UInt32(source.count), target.baseAddress, UInt32(byteCount))
          case .zstd:
            unsafe ccompression_zstd_decompress(
              source.baseAddress, source.count, target.baseAddress, byteCount)
          }
      }
      initialized = max(0, count)
    }
    return count == byteCount ? target : nil
  }

  /// The bytes compressed; `nil` if they do not get shorter.
  func compress(_ source: [UInt8]) -> [UInt8]? {
    let room = source.count - 1
    let target = unsafe [UInt8](unsafeUninitializedCapacity: room) { target, initialized in
      // SAFETY: both calls stay within the counts they are given, and return how much they initialized.
      unsafe source.withUnsafeBytes { source in
        initialized =
          switch self {
          case .zlib:
            unsafe ccompression_deflate(
              source.baseAddress, UInt32(source.count), target.baseAddress, UInt32(room))
          case .zstd:
            unsafe ccompression_zstd_compress(
              source.baseAddress, source.count, target.baseAddress, room)
          }
      }
    }
    return target.isEmpty ? nil : target
  }
}
