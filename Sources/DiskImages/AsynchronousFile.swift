public import DeviceModel
public import HostSystem
import Synchronization

/// A file whose requests go on while their submitter does something else; what formats of disk images are
/// built on.
///
/// The kernel's ring (`TransferRing`) reads, and writes where the file system begins writes without waiting.
/// Threads do what the kernel would only hand to threads of its own, one switch further away, and everything
/// where there is no ring.
public final class AsynchronousFile: Sendable {
  /// What carries requests out.
  public enum Method: String, Hashable, Sendable, CaseIterable {
    /// The ring where the host has one and allows it, and threads.
    case automatic = "auto"
    /// The ring for all reads and writes; opening fails where there is none.
    case ring = "io_uring"
    case threads
  }

  private enum WritePath: UInt8, AtomicRepresentable {
    /// Until the first write.
    case unknown
    case ring
    case threads
  }

  public let file: ImageFile
  private let ring: TransferRing?
  private let threads: RequestThreads
  /// Of a regular file, which file systems let one thread write to at a time: more would only wait for each
  /// other. `nil` for `threads`.
  private let writer: RequestThreads?
  private let writePath: SharedPath

  private static let threadCount = 4

  /// - Throws: `HostError` if threads cannot be had, or the ring that is asked for.
  public init(_ file: ImageFile, method: Method = .automatic) throws(HostError) {
    self.file = file
    switch method {
    case .automatic: ring = try? TransferRing()
    case .ring: ring = try TransferRing()
    case .threads: ring = nil
    }
    let writePath = SharedPath(ring == nil ? .threads : method == .ring ? .ring : .unknown)
    self.writePath = writePath
    let perform = { @Sendable (request: BlockRequest) throws(HostError) in
      try Self.perform(request, file, writePath)
    }
    threads = try RequestThreads(count: Self.threadCount, perform: perform)
    writer =
      try file.isRegularFile() ? RequestThreads(count: 1, perform: perform) : nil
  }

  /// Whether the ring takes part.
  public var hasRing: Bool { ring != nil }

  /// Begins a request; offsets are the file's, of any alignment. `completion` is called once, on another
  /// thread, never from within this call.
  public func submit(
    _ request: BlockRequest,
    completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    submit([BlockSubmission(request, completion: completion)])
  }

  /// Begins several requests at once, which may complete in any order.
  public func submit(_ submissions: [BlockSubmission]) {
    var transfers: [TransferRing.Transfer] = []
    for submission in submissions {
      if let transfer = transfer(of: submission) {
        transfers.append(transfer)
      } else {
        threads(for: submission.request)
          .submit(submission.request, completion: submission.completion)
      }
    }
    if !transfers.isEmpty { ring?.submit(transfers) }
  }

  /// Waits until everything is done. Once; nothing is submitted afterwards.
  public func finish() {
    ring?.finish()
    threads.finish()
    writer?.finish()
  }

  private func threads(for request: BlockRequest) -> RequestThreads {
    switch request {
    case .write(_, _, let isDurable) where !isDurable: writer ?? threads
    case .read, .write, .flush, .discard, .writeZeroes: threads
    }
  }

  /// What the ring is to do of a request; `nil` for nothing.
  private func transfer(of submission: BlockSubmission) -> TransferRing.Transfer? {
    guard ring != nil else { return nil }
    let direction: TransferRing.Transfer.Direction
    let offset: UInt64
    let buffer: MemorySegments
    switch submission.request {
    case .read(let start, let target): (direction, offset, buffer) = (.read, start, target)
    case .write(let start, let source, let isDurable):
      guard writePath.value == .ring else { return nil }
      (direction, offset, buffer) = (isDurable ? .durableWrite : .write, start, source)
    case .flush, .discard, .writeZeroes: return nil
    }
    return TransferRing.Transfer(direction, file, at: offset, buffer) {
      submission.completion($0.map { .failure(BlockError($0)) } ?? .success(()))
    }
  }

  // MARK: On the threads

  private static func perform(
    _ request: BlockRequest, _ file: ImageFile, _ path: SharedPath
  ) throws(HostError) {
    switch request {
    case .read(let offset, let buffer): try file.read(into: buffer, at: offset)
    case .write(let offset, let buffer, let isDurable):
      if path.value == .unknown {
        path.value = try file.writeProbing(from: buffer, at: offset) ? .ring : .threads
      } else {
        try file.write(from: buffer, at: offset)
      }
      if isDurable { try file.flush() }
    case .flush: if !file.isReadOnly { try file.flush() }
    case .discard(let offset, let count):
      // Advice: a file system that cannot keeps the blocks.
      try? file.punchHole(at: offset, byteCount: count)
    case .writeZeroes(let offset, let count, let mayUnmap):
      if mayUnmap, (try? file.punchHole(at: offset, byteCount: count)) != nil { return }
      if (try? file.zeroRange(at: offset, byteCount: count)) != nil { return }
      try file.writeZeroes(at: offset, byteCount: count)
    }
  }

  private final class SharedPath: Sendable {
    private let path: Atomic<WritePath>
    init(_ path: WritePath) { self.path = Atomic(path) }
    var value: WritePath {
      get { path.load(ordering: .relaxed) }
      set { path.store(newValue, ordering: .relaxed) }
    }
  }
}
