/// What CPUID answers for one leaf and subleaf.
public struct CPUIDEntry: Hashable, Sendable {
  public var leaf: UInt32
  public var subleaf: UInt32
  /// Whether the subleaf in ECX selects the entry; without it every ECX gets this one.
  public var isIndexed: Bool
  public var eax: UInt32
  public var ebx: UInt32
  public var ecx: UInt32
  public var edx: UInt32

  public init(
    leaf: UInt32, subleaf: UInt32 = 0, isIndexed: Bool = false,
    eax: UInt32 = 0, ebx: UInt32 = 0, ecx: UInt32 = 0, edx: UInt32 = 0
  ) {
    self.leaf = leaf
    self.subleaf = subleaf
    self.isIndexed = isIndexed
    self.eax = eax
    self.ebx = ebx
    self.ecx = ecx
    self.edx = edx
  }
}

/// All that CPUID answers on one virtual CPU, in the static form; what depends on the CPU's state
/// (APIC id, OSXSAVE, the XSAVE sizes of leaf 0xD) is patched by the engine when it executes CPUID.
public struct CPUIDTable: Hashable, Sendable {
  public var entries: [CPUIDEntry]

  public init(entries: [CPUIDEntry]) { self.entries = entries }

  /// The entry for a leaf and subleaf; `nil` where the model has none.
  public func entry(leaf: UInt32, subleaf: UInt32 = 0) -> CPUIDEntry? {
    entries.first { $0.leaf == leaf && (!$0.isIndexed || $0.subleaf == subleaf) }
  }

  /// Replaces the entry of the same leaf and subleaf, or adds it.
  public mutating func set(_ entry: CPUIDEntry) {
    let place = entries.firstIndex { $0.leaf == entry.leaf && $0.subleaf == entry.subleaf }
    if let place { entries[place] = entry } else { entries.append(entry) }
  }

  /// CPUID.1:EAX: family, model and stepping, as RDX holds it after reset.
  public var signature: UInt32 { entry(leaf: 1)?.eax ?? 0 }
}
