private import CHost
public import HostSystem
public import MachineTypes

/// The guest's RAM: one zeroed host mapping, seen by the guest as up to two regions, below and above
/// the hole under 4 GiB where devices live.
///
/// Any thread may use it; like real memory it gives no order beyond that of the accesses themselves.
/// It is never exposed as a pointer or span outside this module and the engines, because it changes
/// underneath them.
public final class GuestRAM: Sendable {
  /// A run of RAM in the guest's physical address space.
  public struct Region: Hashable, Sendable {
    public var start: GuestPhysicalAddress
    public var byteCount: UInt64
    /// Where the region starts in the host mapping.
    package var mappingOffset: UInt64

    /// The address after the last byte.
    public var end: UInt64 { start.rawValue + byteCount }
  }

  @inlinable public static var pageSize: UInt64 { 4096 }
  /// RAM below 4 GiB ends here at the latest; above it are PCI windows, I/O APIC, local APIC, firmware.
  @inlinable public static var lowMemoryLimit: UInt64 { 0xC000_0000 }
  @inlinable public static var highMemoryStart: UInt64 { 0x1_0000_0000 }

  public let regions: [Region]
  package let mapping: AnonymousMapping
  package let codeTracker: CodeTracker

  public var byteCount: UInt64 { UInt64(mapping.byteCount) }

  /// - Parameter byteCount: a multiple of 4,096, more than 0.
  public init(byteCount: UInt64) throws(HostError) {
    precondition(byteCount > 0 && byteCount % Self.pageSize == 0)
    mapping = try AnonymousMapping(byteCount: Int(byteCount))
    codeTracker = try CodeTracker(pageCount: Int(byteCount / Self.pageSize))
    let low = min(byteCount, Self.lowMemoryLimit)
    var regions = [Region(start: GuestPhysicalAddress(0), byteCount: low, mappingOffset: 0)]
    if byteCount > low {
      regions.append(
        Region(
          start: GuestPhysicalAddress(Self.highMemoryStart), byteCount: byteCount - low,
          mappingOffset: low))
    }
    self.regions = regions
  }

  /// Whether all of the `byteCount` bytes at `address` are RAM, in one region.
  public func contains(_ address: GuestPhysicalAddress, byteCount: UInt64) -> Bool {
    mappingOffset(of: address, byteCount: byteCount) != nil
  }

  /// Where a run of RAM lies in the host mapping; `nil` if it is not all RAM of one region.
  package func mappingOffset(of address: GuestPhysicalAddress, byteCount: UInt64) -> UInt64? {
    for region in regions where address >= region.start {
      let offset = address.rawValue - region.start.rawValue
      guard offset < region.byteCount || (offset == region.byteCount && byteCount == 0),
        byteCount <= region.byteCount - offset
      else { continue }
      return region.mappingOffset + offset
    }
    return nil
  }

  /// The host's view of a run of RAM, for engines only; valid while this object lives.
  @unsafe package func hostAddress(
    of address: GuestPhysicalAddress, byteCount: UInt64
  ) -> UnsafeMutableRawPointer? {
    guard let offset = mappingOffset(of: address, byteCount: byteCount) else { return nil }
    return unsafe mapping.baseAddress + Int(offset)
  }
}

/// An access by a device or a loader to guest memory that is not there.
public enum GuestMemoryError: Error, Hashable, Sendable {
  case notRAM(GuestPhysicalAddress, byteCount: UInt64)
}

extension GuestMemoryError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notRAM(let address, let count):
      "the \(count) bytes at guest address \(address) are not all RAM"
    }
  }
}
