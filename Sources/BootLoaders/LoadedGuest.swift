public import MachineTypes
public import X86

/// A guest whose memory is ready, and the state its first processor starts in.
public struct LoadedGuest: Sendable {
  /// Something that was put in guest memory.
  public struct Placement: Hashable, Sendable {
    public var name: String
    public var address: GuestPhysicalAddress
    public var byteCount: UInt64

    public init(name: String, address: GuestPhysicalAddress, byteCount: UInt64) {
      self.name = name
      self.address = address
      self.byteCount = byteCount
    }
  }

  public var state: VirtualCPUState
  public var image: BootImage.Kind
  public var entry: BootEntry
  public var entryAddress: GuestPhysicalAddress
  /// The memory that the kernel takes before it looks at the memory map, where it first runs.
  public var kernelRange: Range<UInt64>
  /// In the order in which it was placed.
  public var placements: [Placement]
}
