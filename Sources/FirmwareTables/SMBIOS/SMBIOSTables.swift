/// SMBIOS: who made the machine and what is in it, with entry points of both kinds, 2.8 (32-bit) and
/// 3.0 (64-bit) (DSP0134 3.0 §5.2).
struct SMBIOSTables {
  let address: UInt64
  let bytes: [UInt8]

  private static let entryPoint3Offset = 0x20
  private static let structuresOffset = 0x40

  init(
    _ platform: PlatformDescription, lowByteCount: UInt64, highByteCount: UInt64
  ) throws(FirmwareError) {
    address = FirmwareLayout.smbiosTables
    let structures = Self.structures(platform, lowByteCount, highByteCount).map(\.encoded)
    let table = structures.flatMap { $0 }
    let tableAddress = address + UInt64(Self.structuresOffset)
    let largest = structures.map(\.count).max() ?? 0
    let total = Self.structuresOffset + table.count
    guard total <= FirmwareLayout.smbiosTablesByteCount else {
      throw .tablesTooLarge(byteCount: total, room: FirmwareLayout.smbiosTablesByteCount)
    }
    var image = Self.entryPoint2(
      address: UInt32(tableAddress), byteCount: table.count, structureCount: structures.count,
      largest: largest)
    image += [UInt8](repeating: 0, count: Self.entryPoint3Offset - image.count)
    image += Self.entryPoint3(address: tableAddress, byteCount: table.count)
    image += [UInt8](repeating: 0, count: Self.structuresOffset - image.count)
    bytes = image + table
  }

  private static func entryPoint2(
    address: UInt32, byteCount: Int, structureCount: Int, largest: Int
  ) -> [UInt8] {
    var writer = ByteWriter()
    writer.append("_SM_", count: 4)
    writer.append([0, 0x1F, 2, 8])  // checksum, length, version
    writer.append(littleEndian: UInt16(truncatingIfNeeded: largest))
    writer.append(zeros: 1 + 5)
    writer.append("_DMI_", count: 5)
    writer.append(0)
    writer.append(littleEndian: UInt16(truncatingIfNeeded: byteCount))
    writer.append(littleEndian: address)
    writer.append(littleEndian: UInt16(truncatingIfNeeded: structureCount))
    writer.append(0x28)  // version in BCD
    writer.balance(0x10..<0x1F, at: 0x15)
    writer.balance(0..<0x1F, at: 4)
    return writer.bytes
  }

  private static func entryPoint3(address: UInt64, byteCount: Int) -> [UInt8] {
    var writer = ByteWriter()
    writer.append("_SM3_", count: 5)
    writer.append([0, 0x18, 3, 0, 0, 1, 0])  // checksum, length, version, docrev, revision
    writer.append(littleEndian: UInt32(truncatingIfNeeded: byteCount))
    writer.append(littleEndian: address)
    writer.balance(0..<0x18, at: 5)
    return writer.bytes
  }
}
