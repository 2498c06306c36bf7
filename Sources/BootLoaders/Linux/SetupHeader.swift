/// The setup header of a bzImage (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"),
/// checked against the file.
struct SetupHeader: Hashable {
  /// XLF_… bits of `xloadflags`.
  struct ExtendedLoadFlags: OptionSet, Hashable {
    var rawValue: UInt16
    /// The kernel has the 64-bit entry point at 0x200.
    static let kernel64 = ExtendedLoadFlags(rawValue: 1 << 0)
    static let canBeLoadedAbove4G = ExtendedLoadFlags(rawValue: 1 << 1)
  }

  /// Offsets in the file and, at the same place, in the zero page.
  enum Offset {
    static let setupSectors: UInt64 = 0x1F1
    static let systemSize: UInt64 = 0x1F4
    static let bootFlag: UInt64 = 0x1FE
    static let jumpDistance: UInt64 = 0x201
    static let version: UInt64 = 0x206
    static let loadFlags: UInt64 = 0x211
    static let initialRAMDiskMaximum: UInt64 = 0x22C
    static let alignment: UInt64 = 0x230
    static let isRelocatable: UInt64 = 0x234
    static let minimumAlignment: UInt64 = 0x235
    static let extendedLoadFlags: UInt64 = 0x236
    static let commandLineSize: UInt64 = 0x238
    static let payloadOffset: UInt64 = 0x248
    static let payloadByteCount: UInt64 = 0x24C
    static let preferredAddress: UInt64 = 0x258
    static let initialSize: UInt64 = 0x260
  }

  static let oldestVersion: UInt16 = 0x206
  /// Where the header starts, and the end of the room the zero page has for it.
  static let start = 0x1F1
  static let end = 0x290

  let version: UInt16
  /// The header's own bytes, from 0x1F1.
  let fileRange: Range<Int>
  /// The part of the file that belongs at the load address.
  let protectedModeRange: Range<Int>
  /// The highest address of the initial RAM disk's last byte.
  let initialRAMDiskMaximum: UInt64
  /// A power of two.
  let alignment: UInt64
  /// A power of two, not above `alignment`.
  let minimumAlignment: UInt64
  let isRelocatable: Bool
  let extendedLoadFlags: ExtendedLoadFlags
  /// Without the terminating NUL.
  let commandLineSize: Int
  /// Where the kernel runs unless it was loaded higher.
  let preferredAddress: UInt64
  /// What the kernel takes from where it runs.
  let initialSize: UInt64

  var is64Bit: Bool { extendedLoadFlags.contains(.kernel64) }

  init(_ reader: ByteReader) throws(BootError) {
    guard reader.count >= UInt64(Self.end) else {
      throw .truncated(
        what: "the setup header", needed: UInt64(Self.end), available: reader.count)
    }
    func field<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type, _ offset: UInt64) -> UInt64 {
      UInt64(truncatingIfNeeded: reader.integer(type, at: offset) ?? 0)
    }
    guard field(UInt16.self, Offset.bootFlag) == 0xAA55 else {
      throw .damaged("the boot sector's signature at 0x1fe is not 0xaa55")
    }
    version = UInt16(truncatingIfNeeded: field(UInt16.self, Offset.version))
    guard version >= Self.oldestVersion else { throw .protocolTooOld(version: version) }
    guard field(UInt8.self, Offset.loadFlags) & 1 != 0 else { throw .foreign(.zImage) }
    fileRange = try Self.headerRange(
      jumpDistance: Int(field(UInt8.self, Offset.jumpDistance)), version: version)
    protectedModeRange = try Self.protectedModeRange(
      setupSectors: field(UInt8.self, Offset.setupSectors),
      byteCount: field(UInt32.self, Offset.systemSize) * 16, reader)
    initialRAMDiskMaximum = field(UInt32.self, Offset.initialRAMDiskMaximum)
    let lineSize = field(UInt32.self, Offset.commandLineSize)
    commandLineSize = lineSize == 0 ? 255 : Int(lineSize)
    extendedLoadFlags =
      version < 0x20C
      ? []
      : ExtendedLoadFlags(
        rawValue: UInt16(truncatingIfNeeded: field(UInt16.self, Offset.extendedLoadFlags)))
    isRelocatable = field(UInt8.self, Offset.isRelocatable) != 0
    (alignment, minimumAlignment) = try Self.alignments(
      preferred: field(UInt32.self, Offset.alignment),
      minimumLog2: version < 0x20A ? nil : field(UInt8.self, Offset.minimumAlignment),
      isRelocatable: isRelocatable)
    let payloadEnd =
      field(UInt32.self, Offset.payloadOffset) + field(UInt32.self, Offset.payloadByteCount)
    guard version < 0x208 || payloadEnd <= UInt64(protectedModeRange.count) else {
      throw .damaged("its payload ends at \(hex(payloadEnd)), beyond the kernel's own end")
    }
    if version >= 0x20A {
      let preferred = field(UInt64.self, Offset.preferredAddress)
      preferredAddress = preferred == 0 ? BootLayout.lowestKernel : preferred
      initialSize = field(UInt32.self, Offset.initialSize)
      guard initialSize >= UInt64(protectedModeRange.count) else {
        throw .damaged("init_size \(hex(initialSize)) is less than the kernel itself")
      }
    } else {
      preferredAddress = BootLayout.lowestKernel
      // Old headers do not tell: a compressed kernel grows to less than this.
      initialSize = UInt64(protectedModeRange.count) * 8
    }
  }

  private static func headerRange(
    jumpDistance: Int, version: UInt16
  ) throws(BootError) -> Range<Int> {
    let end = min(0x202 + jumpDistance, Self.end)
    let needed =
      switch version {
      case 0x20A...: Int(Offset.initialSize) + 4
      case 0x208...: Int(Offset.payloadByteCount) + 4
      default: Int(Offset.commandLineSize) + 4
      }
    guard end >= needed else {
      throw .damaged("its setup header ends at \(hex(UInt64(end))), before fields it must have")
    }
    return start..<end
  }

  private static func protectedModeRange(
    setupSectors: UInt64, byteCount: UInt64, _ reader: ByteReader
  ) throws(BootError) -> Range<Int> {
    let start = ((setupSectors == 0 ? 4 : setupSectors) + 1) * 512
    guard byteCount > 0x400 else { throw .damaged("it has no protected-mode code") }
    // The size counts paragraphs of 16 bytes: the last one need not be complete.
    guard start + byteCount < reader.count + 16 else {
      throw .truncated(
        what: "the protected-mode kernel", needed: start + byteCount, available: reader.count)
    }
    return Int(start)..<Int(min(start + byteCount, reader.count))
  }

  private static func alignments(
    preferred: UInt64, minimumLog2: UInt64?, isRelocatable: Bool
  ) throws(BootError) -> (preferred: UInt64, minimum: UInt64) {
    guard isRelocatable else { return (4096, 4096) }
    guard preferred >= 4096, preferred.nonzeroBitCount == 1 else {
      throw .damaged("kernel_alignment \(hex(preferred)) is not a power of two from 0x1000 on")
    }
    guard let minimumLog2, minimumLog2 != 0 else { return (preferred, preferred) }
    guard minimumLog2 >= 12, minimumLog2 < 32, 1 << minimumLog2 <= preferred else {
      throw .damaged("min_alignment 2^\(minimumLog2) is outside 0x1000…kernel_alignment")
    }
    return (preferred, 1 << minimumLog2)
  }
}
