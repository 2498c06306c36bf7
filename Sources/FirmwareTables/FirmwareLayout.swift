import MachineTypes

/// Where the firmware's own things lie below 1 MiB.
///
///     0x0_0400  BIOS data area (size of base memory, segment of the EBDA)
///     0x9_FC00  extended BIOS data area, 1 KiB              reserved in e820
///     0xA_0000  hole: VGA memory and option ROMs of a PC     not in e820
///     0xE_0000  RSDP and the ACPI tables, 64 KiB             reserved in e820
///     0xF_0000  SMBIOS entry points and structures, 64 KiB   reserved in e820
///    0x10_0000  extended memory
public enum FirmwareLayout {
  /// BDA 0x40E: the segment of the EBDA; Linux searches it for tables.
  static let extendedBIOSDataAreaSegmentPointer: UInt64 = 0x40E
  /// BDA 0x413: base memory in KiB.
  static let baseMemorySizePointer: UInt64 = 0x413

  public static let extendedBIOSDataArea: UInt64 = 0x9_FC00
  public static let hole: UInt64 = 0xA_0000
  public static let acpiTables: UInt64 = 0xE_0000
  public static let acpiTablesByteCount = 0x1_0000
  public static let smbiosTables: UInt64 = 0xF_0000
  public static let smbiosTablesByteCount = 0x1_0000
  public static let extendedMemory: UInt64 = 0x10_0000

  /// From the I/O APIC to the end of the address space of 32 bits: APICs, HPET and firmware.
  static let chipsetRegion: Range<UInt64> = 0xFEC0_0000..<0x1_0000_0000
}
