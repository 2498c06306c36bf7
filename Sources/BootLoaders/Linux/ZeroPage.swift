import FirmwareTables
import MachineTypes

/// `struct boot_params` (Documentation/arch/x86/zero-page.rst). Without `screen_info`: there is no
/// display, so the kernel takes the console its command line names.
struct ZeroPage {
  static let maximumMemoryMapEntries = 128

  private enum Offset {
    static let rootSystemDescriptionPointer = 0x070
    static let highRAMDiskAddress = 0x0C0
    static let highRAMDiskSize = 0x0C4
    static let memoryMapCount = 0x1E8
    static let bootFlag = 0x1FE
    static let magic = 0x202
    static let version = 0x206
    static let loaderType = 0x210
    static let loadFlags = 0x211
    static let code32Start = 0x214
    static let ramDiskAddress = 0x218
    static let ramDiskSize = 0x21C
    static let commandLine = 0x228
    static let alignment = 0x230
    static let commandLineSize = 0x238
    static let setupData = 0x250
    static let memoryMap = 0x2D0
  }

  private static let loadedHigh: UInt8 = 1
  /// A loader without an assigned number.
  private static let unknownLoader: UInt8 = 0xFF

  private(set) var bytes = [UInt8](repeating: 0, count: 4096)

  /// With the setup header of a bzImage.
  init(header: SetupHeader, of reader: ByteReader, placement: KernelPlacement) {
    bytes.replaceSubrange(header.fileRange, with: reader.bytes[header.fileRange])
    put(UInt32(truncatingIfNeeded: placement.alignment), at: Offset.alignment)
    put(UInt32(truncatingIfNeeded: placement.loadAddress), at: Offset.code32Start)
    bytes[Offset.loaderType] = Self.unknownLoader
  }

  /// With the header that an ELF kernel, having none, expects of its loader.
  init(commandLineSize: Int) {
    put(UInt16(0xAA55), at: Offset.bootFlag)
    put(UInt32(0x5372_6448), at: Offset.magic)  // "HdrS"
    put(UInt16(0x20F), at: Offset.version)
    bytes[Offset.loaderType] = Self.unknownLoader
    bytes[Offset.loadFlags] = Self.loadedHigh
    put(UInt32(0x20_0000), at: Offset.alignment)
    put(UInt32(truncatingIfNeeded: commandLineSize), at: Offset.commandLineSize)
  }

  mutating func setMemoryMap(_ map: MemoryMap) throws(BootError) {
    guard map.entries.count <= Self.maximumMemoryMapEntries else {
      throw .memoryMapTooLong(entries: map.entries.count, limit: Self.maximumMemoryMapEntries)
    }
    bytes[Offset.memoryMapCount] = UInt8(map.entries.count)
    for (index, entry) in map.entries.enumerated() {
      let offset = Offset.memoryMap + 20 * index
      put(entry.start.rawValue, at: offset)
      put(entry.byteCount, at: offset + 8)
      put(entry.kind.rawValue, at: offset + 16)
    }
  }

  mutating func setRootSystemDescriptionPointer(_ address: UInt64) {
    put(address, at: Offset.rootSystemDescriptionPointer)
  }

  mutating func setCommandLine(_ address: UInt64) {
    put(UInt32(truncatingIfNeeded: address), at: Offset.commandLine)
  }

  mutating func setInitialRAMDisk(_ range: Range<UInt64>) {
    let count = range.upperBound - range.lowerBound
    put(UInt32(truncatingIfNeeded: range.lowerBound), at: Offset.ramDiskAddress)
    put(UInt32(truncatingIfNeeded: range.lowerBound >> 32), at: Offset.highRAMDiskAddress)
    put(UInt32(truncatingIfNeeded: count), at: Offset.ramDiskSize)
    put(UInt32(truncatingIfNeeded: count >> 32), at: Offset.highRAMDiskSize)
  }

  mutating func setSetupData(_ address: UInt64) { put(address, at: Offset.setupData) }

  private mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    for index in 0..<MemoryLayout<T>.size {
      bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index))
    }
  }
}
