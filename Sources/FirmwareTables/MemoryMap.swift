public import MachineTypes

/// The map of physical memory that firmware hands to the guest: INT 15h AX=E820h (ACPI 6.5 §15).
public struct MemoryMap: Hashable, Sendable {
  /// The address range types of ACPI 6.5 table 15-2.
  public enum Kind: UInt32, Sendable {
    case usable = 1
    case reserved = 2
    case acpiReclaimable = 3
    case acpiNonVolatile = 4
  }

  public struct Entry: Hashable, Sendable {
    public var start: GuestPhysicalAddress
    /// At least 1; start + count does not wrap.
    public var byteCount: UInt64
    public var kind: Kind

    public init(start: GuestPhysicalAddress, byteCount: UInt64, kind: Kind) {
      self.start = start
      self.byteCount = byteCount
      self.kind = kind
    }

    /// The address after the last byte.
    public var end: UInt64 { start.rawValue &+ byteCount }
  }

  /// Ascending and without overlaps.
  public var entries: [Entry]

  public init(entries: [Entry]) { self.entries = entries }

  /// The map of a machine with `lowByteCount` bytes of RAM from address 0 and `highByteCount` bytes
  /// from 4 GiB.
  ///
  /// - Parameter reserved: what devices have below 4 GiB besides the chipset's region.
  public init(lowByteCount: UInt64, highByteCount: UInt64, reserved: Range<UInt64>? = nil) {
    var entries: [Entry] = []
    func add(_ range: Range<UInt64>, _ kind: Kind) {
      guard !range.isEmpty else { return }
      entries.append(
        Entry(
          start: GuestPhysicalAddress(range.lowerBound),
          byteCount: range.upperBound - range.lowerBound, kind: kind))
    }
    let layout = FirmwareLayout.self
    add(0..<min(lowByteCount, layout.extendedBIOSDataArea), .usable)
    add(layout.extendedBIOSDataArea..<layout.hole, .reserved)
    add(layout.acpiTables..<layout.extendedMemory, .reserved)
    add(layout.extendedMemory..<max(lowByteCount, layout.extendedMemory), .usable)
    if let reserved { add(reserved, .reserved) }
    add(layout.chipsetRegion, .reserved)
    let high: UInt64 = 0x1_0000_0000
    add(high..<(high &+ min(highByteCount, 1 << 51)), .usable)
    self.entries = entries
  }

  /// The usable runs, ascending.
  public var usable: [Range<UInt64>] {
    entries.filter { $0.kind == .usable }.map { $0.start.rawValue..<max($0.end, $0.start.rawValue) }
  }

  /// Whether all of `range` is usable RAM, in one run.
  public func isUsable(_ range: Range<UInt64>) -> Bool {
    usable.contains { $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound }
  }
}
