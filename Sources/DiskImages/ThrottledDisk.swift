public import DeviceModel
import HostSystem
public import MachineTypes
import Synchronization

/// A disk whose requests begin no faster than limits allow, by the machine's clock.
///
/// Reads, writes and zeroes cost their bytes; these, flushes and discards cost one operation. Requests that wait
/// begin in order.
public final class ThrottledDisk: BlockBackend {
  private struct State: Sendable {
    var limiter: RateLimiter
    var waiting: ArraySlice<BlockSubmission> = []
    var timer: (any MachineTimer)?
  }

  private let disk: any BlockBackend
  private let clock: any MachineClock
  private let state: Mutex<State>

  public init(_ disk: any BlockBackend, limits: RateLimits, clock: any MachineClock) {
    self.disk = disk
    self.clock = clock
    state = Mutex(State(limiter: RateLimiter(limits, at: clock.now)))
    let timer = clock.makeTimer { [weak self] in self?.begin([]) }
    state.withLock { $0.timer = timer }
  }

  public var byteCount: UInt64 { disk.byteCount }
  public var blockByteCount: UInt32 { disk.blockByteCount }
  public var preferredByteCount: UInt32 { disk.preferredByteCount }
  public var isReadOnly: Bool { disk.isReadOnly }
  public var canDiscard: Bool { disk.canDiscard }

  public func submit(
    _ request: BlockRequest,
    completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    begin([BlockSubmission(request, completion: completion)])
  }

  public func submit(_ submissions: [BlockSubmission]) { begin(submissions) }

  /// Begins what may begin, and has the timer see to the rest.
  private func begin(_ submissions: [BlockSubmission]) {
    let admitted = state.withLock { state in
      state.waiting += submissions
      var admitted: [BlockSubmission] = []
      while let next = state.waiting.first {
        if let instant = state.limiter.admit(next.request.cost, at: clock.now) {
          state.timer?.arm(at: instant)
          break
        }
        admitted.append(next)
        state.waiting.removeFirst()
      }
      return admitted
    }
    if !admitted.isEmpty { disk.submit(admitted) }
  }

  public func dropWaiting() -> Int {
    let count = state.withLock { state in
      defer { state.waiting = [] }
      return state.waiting.count
    }
    return count + disk.dropWaiting()
  }

  public func refreshByteCount() throws(BlockError) -> UInt64 { try disk.refreshByteCount() }

  /// What still waits begins at once: the clock may stand still.
  public func close() throws(BlockError) {
    let waiting = state.withLock { state in
      state.timer?.disarm()
      state.timer = nil
      defer { state.waiting = [] }
      return Array(state.waiting)
    }
    disk.submit(waiting)
    try disk.close()
  }
}

extension BlockRequest {
  /// In bytes of a disk's bandwidth.
  fileprivate var cost: UInt64 {
    switch self {
    case .read(_, let buffer), .write(_, let buffer, _): UInt64(buffer.byteCount)
    case .writeZeroes(_, let count, _): count
    case .flush, .discard: 0
    }
  }
}
