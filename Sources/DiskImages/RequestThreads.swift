import DeviceModel
import HostSystem

/// Threads that carry out a disk's requests with calls that wait.
final class RequestThreads: Sendable {
  private struct Work: Sendable {
    var request: BlockRequest
    var completion: @Sendable (Result<Void, BlockError>) -> Void
  }

  private struct Queue: Sendable {
    var waiting: ArraySlice<Work> = []
    var isClosing = false
  }

  private let queue = Monitor(Queue())
  private let threads = Monitor<[HostThread]>([])

  convenience init(
    count: Int, perform: @escaping @Sendable (BlockRequest) throws(HostError) -> Void
  ) throws(HostError) {
    try self.init(count: count) { (request) throws(BlockError) in
      do throws(HostError) { try perform(request) } catch { throw BlockError(error) }
    }
  }

  /// - Parameter perform: carries out one request; on `count` threads at once.
  init(
    count: Int, perform: @escaping @Sendable (BlockRequest) throws(BlockError) -> Void
  ) throws(HostError) {
    for _ in 0..<count {
      let thread = try HostThread(name: "disk") { [queue] in Self.work(queue, perform) }
      threads.withLock { $0.append(thread) }
    }
  }

  /// The threads end on their own when their disk is dropped without having been closed.
  deinit { queue.update { $0.isClosing = true } }

  func submit(
    _ request: BlockRequest,
    completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    queue.updateForOne { $0.waiting.append(Work(request: request, completion: completion)) }
  }

  /// Waits until everything is done. Once.
  func finish() {
    queue.update { $0.isClosing = true }
    for thread in threads.withLock({ $0 }) { thread.join() }
    threads.withLock { $0 = [] }
  }

  private static func work(
    _ queue: Monitor<Queue>, _ perform: (BlockRequest) throws(BlockError) -> Void
  ) {
    while true {
      let work: Work? = queue.wait { queue -> Work?? in
        if !queue.waiting.isEmpty { return queue.waiting.removeFirst() }
        return queue.isClosing ? .some(nil) : nil
      }
      guard let work else { return }
      do throws(BlockError) {
        try perform(work.request)
        work.completion(.success(()))
      } catch {
        work.completion(.failure(error))
      }
    }
  }
}

extension BlockError {
  init(_ error: HostError) { self = error.isOutOfSpace ? .noSpace : .host(error) }
}
