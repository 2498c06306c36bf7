/// RSDP: where the search for ACPI starts (ACPI 6.5 §5.2.5.3).
enum RootSystemDescriptionPointer {
  static let byteCount = 36

  static func bytes(rsdt: UInt32, xsdt: UInt64) -> [UInt8] {
    var writer = ByteWriter()
    writer.append("RSD PTR ", count: 8)
    writer.append(0)  // checksum of the first 20 bytes
    writer.append("MARTLT", count: 6)
    writer.append(2)  // revision: ACPI 2.0 and later
    writer.append(littleEndian: rsdt)
    writer.append(littleEndian: UInt32(byteCount))
    writer.append(littleEndian: xsdt)
    writer.append(0)  // checksum of all
    writer.append(zeros: 3)
    writer.balance(0..<20, at: 8)
    writer.balance(0..<byteCount, at: 32)
    return writer.bytes
  }
}
