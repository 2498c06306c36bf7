import DeviceModel
import HostSystem

/// Keeps requests apart that would disturb each other: those that change where a guest cluster lies have it for
/// themselves, others share it. Who came first goes first, so nobody waits for ever.
final class RangeLocks: Sendable {
  enum Mode: Sendable {
    case shared
    case exclusive
  }

  private struct Holder: Sendable {
    var ticket: UInt64
    var clusters: ClosedRange<UInt64>
    var mode: Mode
  }

  private struct State: Sendable {
    /// Holders and those that wait, in the order in which they came.
    var holders: [Holder] = []
    var nextTicket: UInt64 = 0

    mutating func add(_ clusters: ClosedRange<UInt64>, _ mode: Mode) -> UInt64 {
      defer { nextTicket += 1 }
      holders.append(Holder(ticket: nextTicket, clusters: clusters, mode: mode))
      return nextTicket
    }
  }

  private let state = Monitor(State())

  /// Locks the clusters if nobody else's lock stands against it now; `unlock` must follow.
  func lockIfFree(_ clusters: ClosedRange<UInt64>, _ mode: Mode) -> UInt64? {
    state.withLock { state in
      for holder in state.holders
      where holder.clusters.overlaps(clusters) && (holder.mode == .exclusive || mode == .exclusive)
      {
        return nil
      }
      return state.add(clusters, mode)
    }
  }

  func unlock(_ ticket: UInt64) {
    state.update { $0.holders.removeAll { $0.ticket == ticket } }
  }

  /// Runs `body` while the clusters are locked. Not from within another `body` of the same thread.
  func withLock<Result>(
    _ clusters: ClosedRange<UInt64>, _ mode: Mode, _ body: () throws(BlockError) -> Result
  ) throws(BlockError) -> Result {
    let ticket = state.withLock { $0.add(clusters, mode) }
    state.wait { state -> Void? in
      for holder in state.holders {
        if holder.ticket == ticket { return () }
        guard holder.clusters.overlaps(clusters), holder.mode == .exclusive || mode == .exclusive
        else { continue }
        return nil
      }
      return ()
    }
    defer { unlock(ticket) }
    return try body()
  }
}
