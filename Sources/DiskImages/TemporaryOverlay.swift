public import DeviceModel
public import HostSystem

/// An image that is only read, and what a machine writes in a temporary file that goes away with it.
public final class TemporaryOverlay: BlockBackend {
  private let base: any BlockBackend
  private let threads: RequestThreads

  public let byteCount: UInt64
  public let blockByteCount: UInt32 = 512
  public let preferredByteCount = UInt32(clusterByteCount)
  public let isReadOnly = false
  public let canDiscard = false

  private static let clusterByteCount: UInt64 = 4096

  /// - Parameters:
  ///   - base: what is read where nothing was written. It is closed with the overlay.
  ///   - directory: where the temporary file lies, without a name.
  public init(
    _ base: any BlockBackend, temporaryDirectory directory: String
  ) throws(HostError) {
    self.base = base
    byteCount = base.byteCount
    let overlay = try ImageFile(temporaryIn: directory)
    let clusters = (byteCount + Self.clusterByteCount - 1) / Self.clusterByteCount
    let layers = Monitor(
      Layers(base: base, overlay: overlay, written: ClusterSet(count: Int(clusters))))
    threads = try RequestThreads(count: 1) { (request) throws(BlockError) in
      try layers.withLock { (layers) throws(BlockError) in try layers.perform(request) }
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
    try base.close()
  }

  /// A bit for each cluster.
  private struct ClusterSet: Sendable {
    let count: Int
    private var words: [UInt64]

    init(count: Int) {
      self.count = count
      words = [UInt64](repeating: 0, count: (count + 63) / 64)
    }

    subscript(index: Int) -> Bool { words[index / 64] >> UInt64(index % 64) & 1 != 0 }

    mutating func insert(_ index: Int) { words[index / 64] |= 1 << UInt64(index % 64) }
  }

  private struct Layers: Sendable {
    let base: any BlockBackend
    let overlay: ImageFile
    var written: ClusterSet

    mutating func perform(_ request: BlockRequest) throws(BlockError) {
      switch request {
      case .read(let offset, let buffer): try read(into: buffer, at: offset)
      case .write(let offset, let buffer, _):
        try prepare(offset, UInt64(buffer.byteCount))
        try write(buffer, at: offset)
      case .writeZeroes(let offset, let count, _):
        try prepare(offset, count)
        try write(MemorySegments(zeroed: Int(count)), at: offset)
      // Nothing of it outlives the machine.
      case .flush, .discard: break
      }
    }

    private func read(into buffer: MemorySegments, at offset: UInt64) throws(BlockError) {
      var done: UInt64 = 0
      while done < UInt64(buffer.byteCount) {
        let position = offset + done
        let cluster = Int(position / clusterByteCount)
        let limit = offset + UInt64(buffer.byteCount)
        var end = cluster + 1
        while UInt64(end) * clusterByteCount < limit, written[end] == written[cluster] { end += 1 }
        let count = min(UInt64(end) * clusterByteCount - position, limit - position)
        let part = buffer.slice(from: Int(done), count: Int(count))
        if written[cluster] {
          try overlay.attempt { (file) throws(HostError) in try file.read(into: part, at: position)
          }
        } else {
          try base.performAndWait(.read(offset: position, into: part))
        }
        done += count
      }
    }

    private func write(_ buffer: MemorySegments, at offset: UInt64) throws(BlockError) {
      try overlay.attempt { (file) throws(HostError) in try file.write(from: buffer, at: offset) }
    }

    /// Marks the clusters of a write, and brings along the rest of those that it covers in part.
    private mutating func prepare(_ offset: UInt64, _ count: UInt64) throws(BlockError) {
      guard count > 0 else { return }
      let first = Int(offset / clusterByteCount)
      let last = Int((offset + count - 1) / clusterByteCount)
      for cluster in first...last where !written[cluster] {
        let start = UInt64(cluster) * clusterByteCount
        if start < offset || start + clusterByteCount > offset + count {
          let length = min(clusterByteCount, base.byteCount - start)
          let contents = MemorySegments(zeroed: Int(length))
          try base.performAndWait(.read(offset: start, into: contents))
          try write(contents, at: start)
        }
        written.insert(cluster)
      }
    }
  }
}

extension BlockBackend {
  /// Carries a request out and waits for it; on a thread that may wait.
  func performAndWait(_ request: BlockRequest) throws(BlockError) {
    let outcome = Monitor<Result<Void, BlockError>?>(nil)
    submit(request) { result in outcome.update { $0 = result } }
    try outcome.wait { $0 }.get()
  }
}
