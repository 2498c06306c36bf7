import Synchronization

/// Tells of the connections of one disk, which are lost and come back together, as of one.
final class NBDReporter: Sendable {
  private let tell: @Sendable (NBDEvent) -> Void
  /// Since all was well.
  private let told = Mutex<Set<NBDEvent>>([])

  init(_ tell: @escaping @Sendable (NBDEvent) -> Void) { self.tell = tell }

  func report(_ event: NBDEvent) {
    let isNew = told.withLock { told in
      guard case .reconnected = event else { return told.insert(event).inserted }
      defer { told = [] }
      return !told.isEmpty
    }
    if isNew { tell(event) }
  }
}
