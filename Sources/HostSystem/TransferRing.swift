private import CHost
private import Glibc

/// Reads and writes of disk images that the kernel carries out on its own (io_uring).
///
/// The thread that submits enters the kernel itself: what is in the host's cache is read there and then. One
/// thread waits for completions.
public final class TransferRing: Sendable {
  public struct Transfer: Sendable {
    public enum Direction: Hashable, Sendable {
      /// Fills the buffer; what lies beyond the end of the file reads as zeroes.
      case read
      case write
      /// Completes when what it wrote is durable.
      case durableWrite
    }

    public var direction: Direction
    public var file: ImageFile
    /// In the file, in bytes.
    public var offset: UInt64
    public var buffer: MemorySegments
    /// Called once, on the ring's thread; `nil` for success.
    public var completion: @Sendable (HostError?) -> Void

    public init(
      _ direction: Direction, _ file: ImageFile, at offset: UInt64, _ buffer: MemorySegments,
      completion: @escaping @Sendable (HostError?) -> Void
    ) {
      self.direction = direction
      self.file = file
      self.offset = offset
      self.buffer = buffer
      self.completion = completion
    }
  }

  private let core: RingCore
  private let thread: HostThread

  /// - Throws: where the host has no io_uring, or forbids it.
  public init() throws(HostError) {
    let core = try RingCore()
    self.core = core
    thread = try HostThread(name: "disk ring") { core.reap() }
  }

  /// The thread ends on its own when the ring is dropped without having been finished.
  deinit { core.stop() }

  /// Begins transfers, in one system call. Never waits for a disk.
  public func submit(_ transfers: [Transfer]) { core.submit(transfers) }

  /// Waits until everything is done. Once.
  public func finish() {
    core.stop()
    thread.join()
  }
}

/// The ring itself, shared with its thread. The submission side is used with the lock held, the completion
/// side by the thread alone.
@safe private final class RingCore: @unchecked Sendable {
  /// A transfer that the kernel has, or is about to get.
  @safe private struct Entry: @unchecked Sendable {
    enum Step {
      case unfinished
      case over(HostError?)
    }

    let transfer: TransferRing.Transfer
    /// How many bytes are done.
    var done = 0
    /// How often the kernel put the rest off.
    var attempts = 0
    /// Read by the kernel until it has completed the entry.
    var vectors: UnsafeMutablePointer<iovec>?

    init(_ transfer: TransferRing.Transfer) { self.transfer = transfer }

    var rest: MemorySegments {
      let buffer = transfer.buffer
      return done == 0 ? buffer : buffer.slice(from: done, count: buffer.byteCount - done)
    }

    mutating func advance(by result: Int32, mostAttempts: Int) -> Step {
      let isRead = transfer.direction == .read
      let call = isRead ? "preadv" : "pwritev"
      let byteCount = transfer.buffer.byteCount
      switch result {
      case 1...:
        done += Int(result)
        attempts = 0
        return done < byteCount ? .unfinished : .over(nil)
      case 0:
        if isRead { transfer.buffer.clear(from: done, count: byteCount - done) }
        return .over(isRead || byteCount == 0 ? nil : HostError(call: call, errno: EIO))
      default:
        // The last two befall requests whose submitting thread has ended: they begin anew on the ring's.
        attempts += 1
        let isTransient = [EINTR, EAGAIN, ECANCELED, EFAULT].contains(-result)
        if isTransient, attempts < mostAttempts { return .unfinished }
        return .over(HostError(call: call, errno: -result))
      }
    }
  }

  private struct State: Sendable {
    var entries: [Entry?] = Array(repeating: nil, count: RingCore.entryCount)
    var free = Array(0..<RingCore.entryCount)
    /// What found no entry.
    var backlog: ArraySlice<TransferRing.Transfer> = []
    /// Entries in the submission queue, in order; `nil` for the poll.
    var unsubmitted: [Int?] = []
    /// What the thread still has to tell.
    var ended: [Ending] = []
    var isPolling = false
    var isStopping = false
    /// The kernel takes nothing any more.
    var failure: HostError?

    var isIdle: Bool {
      free.count == entries.count && backlog.isEmpty && ended.isEmpty
    }
  }

  private struct Ending: Sendable {
    var completion: @Sendable (HostError?) -> Void
    var error: HostError?
  }

  private static let entryCount = 256
  /// Stands for the poll of `wake` among the entries' numbers.
  private static let wakeNumber = UInt64.max
  /// Reads larger than this are copied by the kernel's threads, not by the one that submits.
  private static let mostInline = 64 << 10
  private static let mostAttempts = 1000

  private let ring: OpaquePointer
  private let state = Monitor(State())
  /// Wakes the thread, which polls it through the ring.
  private let wake: WakeDescriptor

  init() throws(HostError) {
    wake = try WakeDescriptor()
    var error: Int32 = 0
    // SAFETY: the ring is this object's alone, and closed with it.
    guard let ring = unsafe chost_ring_open(UInt32(2 * Self.entryCount), &error) else {
      throw HostError(call: "io_uring_setup", errno: error)
    }
    unsafe self.ring = ring
    let failure = state.withLock { state in
      start(&state)
      return state.failure
    }
    if let failure { throw failure }
  }

  deinit { unsafe chost_ring_close(ring) }

  func submit(_ transfers: [TransferRing.Transfer]) {
    state.withLock {
      $0.backlog.append(contentsOf: transfers)
      start(&$0)
    }
  }

  func stop() {
    state.withLock { $0.isStopping = true }
    wake.signal()
  }

  // MARK: Submitting

  /// Hands the kernel what waits, as far as there are entries.
  private func start(_ state: inout State) {
    if !state.isPolling,
      unsafe chost_ring_poll(ring, Self.wakeNumber, wake.descriptor) == 0
    {
      state.isPolling = true
      state.unsubmitted.append(nil)
    }
    while state.failure == nil, !state.backlog.isEmpty, let number = state.free.popLast() {
      state.entries[number] = Entry(state.backlog.removeFirst())
      prepare(number, &state)
    }
    enter(&state)
    // Whatever comes after the ring broke.
    guard let failure = state.failure, !state.backlog.isEmpty else { return }
    state.ended += state.backlog.map { Ending(completion: $0.completion, error: failure) }
    state.backlog = []
    wake.signal()
  }

  /// Puts an entry's transfer, or what is left of it, into the submission queue.
  private func prepare(_ number: Int, _ state: inout State) {
    guard var entry = state.entries[number] else { return }
    let transfer = entry.transfer
    let rest = entry.rest
    let offset = transfer.offset &+ UInt64(entry.done)
    let file = transfer.file.file
    let onWorker: Int32 = rest.byteCount > Self.mostInline || entry.attempts > 0 ? 1 : 0
    // SAFETY: the runs live as long as the entry's buffer, and their list as long as the entry: until the
    // kernel has completed it. More than IOV_MAX runs are refused.
    let vectors = unsafe rest.vectors
    let count = unsafe min(vectors.count, 1024)
    let list = UnsafeMutablePointer<iovec>.allocate(capacity: max(1, count))
    unsafe list.initialize(from: vectors, count: count)
    unsafe entry.vectors = list
    let result =
      if transfer.direction == .read {
        unsafe chost_ring_read(
          ring, UInt64(number), file, list, UInt32(count), offset, onWorker)
      } else {
        unsafe chost_ring_write(
          ring, UInt64(number), file, list, UInt32(count), offset, onWorker,
          transfer.direction == .durableWrite ? 1 : 0)
      }
    precondition(result == 0, "the ring has more places than there are entries")
    state.entries[number] = entry
    state.unsubmitted.append(number)
  }

  /// Enters the kernel. What it cannot take now, for want of memory, the thread offers it again.
  private func enter(_ state: inout State) {
    while !state.unsubmitted.isEmpty, state.failure == nil {
      let result = unsafe chost_ring_submit(ring)
      if result > 0 {
        state.unsubmitted.removeFirst(min(Int(result), state.unsubmitted.count))
      } else if result == -EAGAIN || result == -EBUSY || result == -ENOMEM || result == 0 {
        wake.signal()
        return
      } else if result != -EINTR {
        let failure = HostError(call: "io_uring_enter", errno: -result)
        state.failure = failure
        for case let number? in state.unsubmitted { end(number, failure, &state) }
        state.unsubmitted = []
        wake.signal()
      }
    }
  }

  // MARK: Completing

  /// The life of the ring's thread.
  func reap() {
    var waits = true
    while true {
      let results = takeResults(waiting: waits)
      let (endings, isOver) = state.withLock { state in
        for (number, result) in results {
          if number == Self.wakeNumber {
            wake.clear()
            state.isPolling = false
          } else {
            advance(Int(number), by: result, &state)
          }
        }
        let endings = state.ended
        state.ended = []
        start(&state)
        waits = state.unsubmitted.isEmpty && state.failure == nil
        return (endings, state.isStopping && state.isIdle)
      }
      for ending in endings { ending.completion(ending.error) }
      // Completions may have submitted more.
      if isOver, endings.isEmpty || state.withLock({ $0.isIdle }) { return }
      if !waits { usleep(1000) }
    }
  }

  /// The numbers of entries with what the kernel says of them: bytes, or a negative error number.
  private func takeResults(waiting waits: Bool) -> [(UInt64, Int32)] {
    if waits { unsafe chost_ring_wait(ring) }
    var results: [(UInt64, Int32)] = []
    var result = chost_ring_result()
    while results.count < Self.entryCount, unsafe chost_ring_take(ring, &result, 1) == 1 {
      results.append((result.number, result.result))
    }
    return results
  }

  /// Takes in what the kernel did of an entry, and has it go on with the rest.
  private func advance(_ number: Int, by result: Int32, _ state: inout State) {
    guard var entry = state.entries[number] else { return }
    unsafe entry.vectors?.deallocate()
    unsafe entry.vectors = nil
    let step = entry.advance(by: result, mostAttempts: Self.mostAttempts)
    state.entries[number] = entry
    switch (step, state.failure) {
    case (.over(let error), _): end(number, error, &state)
    case (.unfinished, let failure?): end(number, failure, &state)
    case (.unfinished, nil): prepare(number, &state)
    }
  }

  private func end(_ number: Int, _ error: HostError?, _ state: inout State) {
    guard let entry = state.entries[number] else { return }
    unsafe entry.vectors?.deallocate()
    state.ended.append(Ending(completion: entry.transfer.completion, error: error))
    state.entries[number] = nil
    state.free.append(number)
  }
}
