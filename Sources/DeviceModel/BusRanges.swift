/// Two devices on one bus claim the same addresses.
public struct BusOverlapError: Error, Hashable, Sendable {
  public var requested: ClosedRange<UInt64>
  public var occupied: ClosedRange<UInt64>

  public init(requested: ClosedRange<UInt64>, occupied: ClosedRange<UInt64>) {
    self.requested = requested
    self.occupied = occupied
  }
}

/// How often guests misused a bus.
public struct BusStatistics: Hashable, Sendable {
  /// Accesses to addresses that no device claims.
  public var unclaimedCount: UInt64
  /// Accesses that a device refused.
  public var refusedCount: UInt64

  public init(unclaimedCount: UInt64, refusedCount: UInt64) {
    self.unclaimedCount = unclaimedCount
    self.refusedCount = refusedCount
  }
}

/// Address ranges without overlap, in ascending order.
struct BusRanges<Target: Sendable>: Sendable {
  struct Entry: Sendable {
    let range: ClosedRange<UInt64>
    /// Which of the device's own offsets the first address stands for.
    let firstOffset: UInt64
    let target: Target
  }

  private(set) var entries: [Entry] = []

  mutating func insert(_ entry: Entry) throws(BusOverlapError) {
    let position = partitioningIndex(of: entry.range.lowerBound)
    for neighbour in entries[max(position - 1, 0)..<min(position + 1, entries.count)]
    where neighbour.range.overlaps(entry.range) {
      throw BusOverlapError(requested: entry.range, occupied: neighbour.range)
    }
    entries.insert(entry, at: position)
  }

  /// Takes away the entry that starts at `first`, if there is one.
  mutating func remove(startingAt first: UInt64) {
    let position = partitioningIndex(of: first)
    guard position < entries.count, entries[position].range.lowerBound == first else { return }
    entries.remove(at: position)
  }

  func entry(containing address: UInt64) -> Entry? {
    let position = partitioningIndex(of: address)
    if position < entries.count, entries[position].range.lowerBound == address {
      return entries[position]
    }
    guard position > 0, entries[position - 1].range.contains(address) else { return nil }
    return entries[position - 1]
  }

  /// The index of the first entry that starts at or after `address`.
  private func partitioningIndex(of address: UInt64) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].range.lowerBound < address { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
