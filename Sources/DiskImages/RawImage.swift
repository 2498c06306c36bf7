public import DeviceModel
public import HostSystem
import Synchronization

/// A disk image that is the disk byte by byte: a file, or a block device of the host.
public final class RawImage: BlockBackend {
  private let requests: AsynchronousFile
  private var file: ImageFile { requests.file }

  private let size: Atomic<UInt64>

  public var byteCount: UInt64 { size.load(ordering: .relaxed) }
  public let blockByteCount: UInt32 = 512
  public let preferredByteCount: UInt32 = 4096
  public var isReadOnly: Bool { file.isReadOnly }
  public let canDiscard = true

  /// Opens an image. Its size is rounded down to whole blocks.
  ///
  /// - Throws: `HostError` if it cannot be opened, or is locked by another process.
  public init(
    path: String, isReadOnly: Bool, method: AsynchronousFile.Method = .automatic
  ) throws(HostError) {
    let file = try ImageFile(path: path, isReadOnly: isReadOnly)
    size = Atomic(try file.byteCount() & ~511)
    requests = try AsynchronousFile(file, method: method)
  }

  public func submit(
    _ request: BlockRequest,
    completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    requests.submit(request, completion: completion)
  }

  public func submit(_ submissions: [BlockSubmission]) { requests.submit(submissions) }

  public func refreshByteCount() throws(BlockError) -> UInt64 {
    do {
      let byteCount = try file.byteCount() & ~511
      size.store(byteCount, ordering: .relaxed)
      return byteCount
    } catch {
      throw .host(error)
    }
  }

  public func close() throws(BlockError) {
    requests.finish()
    defer { file.unlock() }
    guard !isReadOnly else { return }
    do {
      try file.flush()
    } catch {
      throw .host(error)
    }
  }
}
