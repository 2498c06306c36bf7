public import DeviceModel
public import HostSystem

/// A folder of the host that a guest may use through a file-sharing device. A few threads carry requests out, so
/// that several can be under way.
public final class SharedFolder: FileSharingBackend {
  private struct Work: Sendable {
    var request: [UInt8]
    var replyLimit: Int
    var completion: @Sendable ([UInt8]) -> Void
  }

  private struct Queue: Sendable {
    var waiting: [Work] = []
    /// How many threads are at the folder's files.
    var activeCount = 0
    var isClosing = false
  }

  private let server: FuseServer
  private let queue = Monitor(Queue())
  private let threads = Monitor<[HostThread]>([])

  private static let threadCount = 4

  /// Shares a directory. The process's limit of open files is raised as far as it may be.
  ///
  /// - Throws: `HostError` if there is no such directory, or it may not be read.
  public init(
    path: String, options: SharingOptions = SharingOptions()
  ) throws(HostError) {
    server = FuseServer(root: try FileNode(directory: path), options: options)
    for _ in 0..<Self.threadCount {
      let thread = try HostThread(name: "files") { [queue, server] in Self.work(queue, server) }
      threads.withLock { $0.append(thread) }
    }
  }

  /// The threads end on their own when the folder is dropped without having been closed.
  deinit { queue.update { $0.isClosing = true } }

  public func submit(
    _ request: [UInt8], replyLimit: Int, completion: @escaping @Sendable ([UInt8]) -> Void
  ) {
    queue.update {
      $0.waiting.append(Work(request: request, replyLimit: replyLimit, completion: completion))
    }
  }

  public func reset() {
    queue.update { $0.waiting = [] }
    queue.wait { $0.activeCount == 0 ? () : nil }
    server.reset()
  }

  public func close() {
    queue.update { $0.isClosing = true }
    let all = threads.withLock { threads in
      defer { threads = [] }
      return threads
    }
    for thread in all { thread.join() }
    server.reset()
  }

  private static func work(_ queue: Monitor<Queue>, _ server: FuseServer) {
    // Where that is forbidden, new files get fewer permissions, by the process's mask.
    try? FolderAccess.clearPermissionMask()
    while true {
      let work: Work? = queue.wait { queue -> Work?? in
        guard queue.waiting.isEmpty else {
          queue.activeCount += 1
          return queue.waiting.removeFirst()
        }
        return queue.isClosing ? .some(nil) : nil
      }
      guard let work else { return }
      let reply = server.answer(work.request, replyLimit: work.replyLimit)
      queue.update { $0.activeCount -= 1 }
      work.completion(reply)
    }
  }
}
