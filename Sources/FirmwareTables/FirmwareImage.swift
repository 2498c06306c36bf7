public import GuestMemory
public import MachineTypes

/// Everything that stands in for firmware in a machine that boots a kernel directly: tables with the
/// addresses they belong at, and the memory map.
public struct FirmwareImage: Hashable, Sendable {
  public struct Piece: Hashable, Sendable {
    /// For logs.
    public var name: String
    public var address: GuestPhysicalAddress
    public var bytes: [UInt8]
  }

  public var pieces: [Piece]
  /// RSDP.
  public var rootSystemDescriptionPointer: GuestPhysicalAddress
  public var memoryMap: MemoryMap

  /// - Parameters:
  ///   - lowByteCount: RAM from address 0, at least 1 MiB.
  ///   - highByteCount: RAM from 4 GiB.
  public init(
    platform: PlatformDescription, lowByteCount: UInt64, highByteCount: UInt64 = 0
  ) throws(FirmwareError) {
    guard (1...PlatformDescription.maximumCPUCount).contains(platform.cpuCount) else {
      throw .cpuCount(platform.cpuCount)
    }
    guard platform.identifier.count == 16 else {
      throw .identifierLength(platform.identifier.count)
    }
    guard lowByteCount >= FirmwareLayout.extendedMemory else {
      throw .memoryTooSmall(byteCount: lowByteCount)
    }
    let acpi = try ACPITables(platform)
    let smbios = try SMBIOSTables(
      platform, lowByteCount: lowByteCount, highByteCount: highByteCount)
    pieces =
      Self.biosDataArea + [
        Piece(name: "ACPI", address: GuestPhysicalAddress(acpi.address), bytes: acpi.bytes),
        Piece(name: "SMBIOS", address: GuestPhysicalAddress(smbios.address), bytes: smbios.bytes),
      ]
    rootSystemDescriptionPointer = GuestPhysicalAddress(acpi.address)
    memoryMap = MemoryMap(
      lowByteCount: lowByteCount, highByteCount: highByteCount,
      reserved: platform.pciRoot?.configurationSpace)
  }

  /// The firmware of a machine with this RAM.
  public init(platform: PlatformDescription, memory: GuestRAM) throws(FirmwareError) {
    let high = memory.regions.filter { $0.start.rawValue >= GuestRAM.highMemoryStart }
    let highByteCount = high.reduce(0) { $0 + $1.byteCount }
    try self.init(
      platform: platform, lowByteCount: memory.byteCount - highByteCount,
      highByteCount: highByteCount)
  }

  /// Copies all pieces to the guest's memory.
  public func write(to memory: GuestRAM) throws(GuestMemoryError) {
    for piece in pieces { try memory.write(piece.bytes, at: piece.address) }
  }

  /// What Linux reads of the BDA and EBDA to learn where base memory ends.
  private static var biosDataArea: [Piece] {
    let segment = UInt16(FirmwareLayout.extendedBIOSDataArea >> 4)
    let kibibytes = UInt16(FirmwareLayout.extendedBIOSDataArea >> 10)
    return [
      Piece(
        name: "BDA: segment of the EBDA",
        address: GuestPhysicalAddress(FirmwareLayout.extendedBIOSDataAreaSegmentPointer),
        bytes: [UInt8(truncatingIfNeeded: segment), UInt8(segment >> 8)]),
      Piece(
        name: "BDA: size of base memory",
        address: GuestPhysicalAddress(FirmwareLayout.baseMemorySizePointer),
        bytes: [UInt8(truncatingIfNeeded: kibibytes), UInt8(kibibytes >> 8)]),
      Piece(
        name: "EBDA: size in KiB",
        address: GuestPhysicalAddress(FirmwareLayout.extendedBIOSDataArea), bytes: [1]),
    ]
  }
}
