public import DeviceModel
public import HostSystem

/// A raw image that is only read, and what a machine writes in a temporary file that goes away with it.
public final class TemporaryOverlay: BlockBackend {
  private let base: ImageFile
  private let threads: RequestThreads

  public let byteCount: UInt64
  public let blockByteCount: UInt32 = 512
  public let preferredByteCount = UInt32(clusterByteCount)
  public let isReadOnly = false
  public let canDiscard = false

  private static let clusterByteCount: UInt64 = 4096

  /// - Parameters:
  ///   - path: the image, which other machines may read at the same time.
  ///   - directory: where the temporary file lies, without a name.
  public init(path: String, temporaryDirectory directory: String) throws(HostError) {
    let base = try ImageFile(path: path, isReadOnly: true)
    let overlay = try ImageFile(temporaryIn: directory)
    self.base = base
    byteCount = try base.byteCount() & ~511
    let clusters = Int((byteCount + Self.clusterByteCount - 1) / Self.clusterByteCount)
    let written = Monitor([Bool](repeating: false, count: clusters))
    threads = try RequestThreads(count: 1) { (request) throws(HostError) in
      try written.withLock { (written) throws(HostError) in
        try Self.perform(request, base, overlay, &written)
      }
    }
  }

  public func submit(
    _ request: BlockRequest,
    completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    threads.submit(request, completion: completion)
  }

  public func close() throws(BlockError) {
    threads.finish()
    base.unlock()
  }

  private static func perform(
    _ request: BlockRequest, _ base: ImageFile, _ overlay: ImageFile, _ written: inout [Bool]
  ) throws(HostError) {
    switch request {
    case .read(let offset, let buffer):
      var done: UInt64 = 0
      while done < UInt64(buffer.byteCount) {
        let position = offset + done
        let cluster = Int(position / clusterByteCount)
        var end = cluster + 1
        while end < written.count, written[end] == written[cluster] { end += 1 }
        let count = min(
          UInt64(end) * clusterByteCount - position, UInt64(buffer.byteCount) - done)
        let layer = written[cluster] ? overlay : base
        try layer.read(into: buffer.slice(from: Int(done), count: Int(count)), at: position)
        done += count
      }
    case .write(let offset, let buffer, _):
      try prepare(offset, UInt64(buffer.byteCount), base, overlay, &written)
      try overlay.write(from: buffer, at: offset)
    case .writeZeroes(let offset, let count, _):
      try prepare(offset, count, base, overlay, &written)
      try overlay.write(from: MemorySegments(zeroed: Int(count)), at: offset)
    // Nothing of it outlives the machine.
    case .flush, .discard: break
    }
  }

  /// Marks the clusters of a write, and brings along the rest of those that it covers in part.
  private static func prepare(
    _ offset: UInt64, _ count: UInt64, _ base: ImageFile, _ overlay: ImageFile,
    _ written: inout [Bool]
  ) throws(HostError) {
    guard count > 0 else { return }
    let first = Int(offset / clusterByteCount)
    let last = Int((offset + count - 1) / clusterByteCount)
    for cluster in first...last where !written[cluster] {
      let start = UInt64(cluster) * clusterByteCount
      if start < offset || start + clusterByteCount > offset + count {
        let contents = MemorySegments(zeroed: Int(clusterByteCount))
        try base.read(into: contents, at: start)
        try overlay.write(from: contents, at: start)
      }
      written[cluster] = true
    }
  }
}
