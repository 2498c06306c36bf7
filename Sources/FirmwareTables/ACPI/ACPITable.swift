/// A system description table with the common header (ACPI 6.5 §5.2.6).
struct ACPITable {
  static let headerByteCount = 36

  /// The finished table: length and checksum filled in.
  let bytes: [UInt8]

  init(signature: String, revision: UInt8, _ body: (inout ByteWriter) -> Void) {
    var writer = ByteWriter()
    writer.append(signature, count: 4)
    writer.append(littleEndian: UInt32(0))  // length, below
    writer.append(revision)
    writer.append(0)  // checksum, below
    writer.append("MARTLT", count: 6)
    writer.append("MARTLETV", count: 8)
    writer.append(littleEndian: UInt32(1))  // OEM revision
    writer.append("MRTL", count: 4)  // creator
    writer.append(littleEndian: UInt32(1))  // creator revision
    body(&writer)
    writer.replace(at: 4, littleEndian: UInt32(writer.count))
    writer.balance(0..<writer.count, at: 9)
    bytes = writer.bytes
  }
}

/// Generic Address Structure (ACPI 6.5 §5.2.3.2).
struct GenericAddress {
  enum Space: UInt8 {
    case systemMemory = 0
    case systemIO = 1
  }

  var space: Space
  var bitWidth: UInt8
  /// 1 byte, 2 word, 3 doubleword, 4 quadword.
  var accessSize: UInt8
  var address: UInt64

  static let absent = GenericAddress(space: .systemMemory, bitWidth: 0, accessSize: 0, address: 0)

  static func port(_ address: UInt16, bitWidth: UInt8, accessSize: UInt8) -> GenericAddress {
    GenericAddress(
      space: .systemIO, bitWidth: bitWidth, accessSize: accessSize, address: UInt64(address))
  }

  func append(to writer: inout ByteWriter) {
    writer.append(space.rawValue)
    writer.append(bitWidth)
    writer.append(0)  // bit offset
    writer.append(accessSize)
    writer.append(littleEndian: address)
  }
}
