/// FACS: the waking vector and the global lock (ACPI 6.5 §5.2.10). It has no checksum.
enum FirmwareACPIControlStructure {
  static let alignment: UInt64 = 64

  static var bytes: [UInt8] {
    var writer = ByteWriter()
    writer.append("FACS", count: 4)
    writer.append(littleEndian: UInt32(64))
    writer.append(zeros: 24)  // hardware signature, waking vector, lock, flags, X waking vector
    writer.append(2)  // version
    writer.append(zeros: 31)
    return writer.bytes
  }
}
