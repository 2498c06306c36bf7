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
  }

  private let state = Monitor(State())

  /// Runs `body` while the clusters are locked. Not from within another `body` of the same thread.
  func withLock<Result>(
    _ clusters: ClosedRange<UInt64>, _ mode: Mode, _ body: () throws(BlockError) -> Result
  ) throws(BlockError) -> Result {
    let ticket = state.withLock { state in
      let ticket = state.nextTicket
      state.nextTicket += 1
      state.holders.append(Holder(ticket: ticket, clusters: clusters, mode: mode))
      return ticket
    }
    state.wait { state -> Void? in
      for holder in state.holders {
        if holder.ticket == ticket { return () }
        guard holder.clusters.overlaps(clusters), holder.mode == .exclusive || mode == .exclusive
        else { continue }
        return nil
      }
      return ()
    }
    defer { state.update { $0.holders.removeAll { $0.ticket == ticket } } }
    return try body()
  }
}
