/// What a check of an image found, and what it repaired.
public struct CheckReport: Hashable, Sendable {
  /// What would make the image's data wrong, now or at a later write.
  public var corruptions = 0
  /// Clusters that are taken, and that nothing refers to: space is lost, no data.
  public var leaks = 0
  public var corruptionsFixed = 0
  public var leaksFixed = 0
  /// Where the last cluster ends that is in use, in bytes.
  public var imageEndOffset: UInt64 = 0
  /// Guest clusters: all, those with data, those that do not follow their predecessor, those that are compressed.
  public var totalClusters: UInt64 = 0
  public var allocatedClusters: UInt64 = 0
  public var fragmentedClusters: UInt64 = 0
  public var compressedClusters: UInt64 = 0
  /// One line for each of the first findings.
  public var findings: [String] = []

  static let mostFindings = 200

  mutating func noteCorruption(_ text: @autoclosure () -> String) {
    corruptions += 1
    if findings.count < Self.mostFindings { findings.append("error: \(text())") }
  }

  mutating func noteLeak(_ text: @autoclosure () -> String) {
    leaks += 1
    if findings.count < Self.mostFindings { findings.append("leak: \(text())") }
  }
}

/// How much a check repairs.
public enum RepairMode: String, Sendable, CaseIterable {
  /// Frees clusters that nothing refers to.
  case leaks
  /// Reference counts and what depends on them; entries that lead nowhere stay as they are.
  case counts
  /// Also has what can be read no more read as zeroes.
  case all
}
