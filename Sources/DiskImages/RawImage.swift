public import DeviceModel
public import HostSystem

/// A disk image that is the disk byte by byte: a file, or a block device of the host.
///
/// A few threads carry requests out, so that several can be under way.
public final class RawImage: BlockBackend {
  private let file: ImageFile
  private let threads: RequestThreads

  public let byteCount: UInt64
  public let blockByteCount: UInt32 = 512
  public let preferredByteCount: UInt32 = 4096
  public var isReadOnly: Bool { file.isReadOnly }
  public let canDiscard = true

  private static let threadCount = 4
  private static let zeroes = MemorySegments(zeroed: 1 << 20)

  /// Opens an image. Its size is rounded down to whole blocks.
  ///
  /// - Throws: `HostError` if it cannot be opened, or is locked by another process.
  public init(path: String, isReadOnly: Bool) throws(HostError) {
    file = try ImageFile(path: path, isReadOnly: isReadOnly)
    byteCount = try file.byteCount() & ~511
    threads = try RequestThreads(count: Self.threadCount) { [file] (request) throws(HostError) in
      try Self.perform(request, file)
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
    defer { file.unlock() }
    guard !isReadOnly else { return }
    do {
      try file.flush()
    } catch {
      throw .host(error)
    }
  }

  private static func perform(_ request: BlockRequest, _ file: ImageFile) throws(HostError) {
    switch request {
    case .read(let offset, let buffer): try file.read(into: buffer, at: offset)
    case .write(let offset, let buffer, let isDurable):
      try file.write(from: buffer, at: offset)
      if isDurable { try file.flush() }
    case .flush: if !file.isReadOnly { try file.flush() }
    case .discard(let offset, let count):
      // Advice: a file system that cannot keeps the blocks.
      try? file.punchHole(at: offset, byteCount: count)
    case .writeZeroes(let offset, let count, let mayUnmap):
      if mayUnmap, (try? file.punchHole(at: offset, byteCount: count)) != nil { return }
      var done: UInt64 = 0
      while done < count {
        let length = min(count - done, UInt64(zeroes.byteCount))
        try file.write(from: zeroes.slice(from: 0, count: Int(length)), at: offset + done)
        done += length
      }
    }
  }
}
