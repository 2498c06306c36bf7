/// What the host's CPUID answers: the leaves that CPU models draw on.
public struct HostCPUID: Hashable, Sendable {
  public var entries: [CPUIDEntry]

  public init(entries: [CPUIDEntry]) { self.entries = entries }

  /// The answer for a leaf; all zeroes where the host has none.
  public func entry(leaf: UInt32, subleaf: UInt32 = 0) -> CPUIDEntry {
    entries.first { $0.leaf == leaf && $0.subleaf == subleaf }
      ?? CPUIDEntry(leaf: leaf, subleaf: subleaf)
  }
}
