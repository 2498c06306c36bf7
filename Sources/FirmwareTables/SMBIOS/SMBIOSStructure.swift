/// One SMBIOS structure: a formatted area and its strings (DSP0134 3.0 §6.1).
struct SMBIOSStructure {
  private(set) var body = ByteWriter()
  private var strings: [String] = []
  let type: UInt8
  let handle: UInt16

  init(type: UInt8, handle: UInt16) {
    self.type = type
    self.handle = handle
  }

  mutating func byte(_ values: UInt8...) { body.append(values) }
  mutating func word(_ value: UInt16) { body.append(littleEndian: value) }
  mutating func doubleword(_ value: UInt32) { body.append(littleEndian: value) }
  mutating func quadword(_ value: UInt64) { body.append(littleEndian: value) }
  mutating func bytes(_ values: [UInt8]) { body.append(values) }

  /// Appends the number of `text` among the structure's strings.
  mutating func string(_ text: String) {
    strings.append(text)
    body.append(UInt8(strings.count))
  }

  /// Appends the number that stands for no string.
  mutating func noString() { body.append(0) }

  var encoded: [UInt8] {
    var writer = ByteWriter()
    writer.append(type)
    writer.append(UInt8(4 + body.count))
    writer.append(littleEndian: handle)
    writer.append(body.bytes)
    for text in strings {
      writer.append(Array(text.utf8))
      writer.append(0)
    }
    writer.append(strings.isEmpty ? [0, 0] : [0])
    return writer.bytes
  }
}
