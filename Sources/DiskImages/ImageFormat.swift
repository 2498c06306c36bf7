import HostSystem

/// The formats of images that Martlet itself reads and writes.
public enum ImageFormat: String, Hashable, Sendable, CaseIterable, CustomStringConvertible {
  /// The disk byte by byte.
  case raw
  case qcow2

  public var description: String { rawValue }
}

/// What an image is by its first bytes.
enum DetectedFormat: Hashable, Sendable {
  case known(ImageFormat)
  /// A format of others, by its name.
  case foreign(String)

  private static let signatures: [(name: String, bytes: [UInt8])] = [
    ("VMDK", Array("KDMV".utf8)), ("VHDX", Array("vhdxfile".utf8)),
    ("VHD", Array("conectix".utf8)), ("Parallels", Array("WithoutFreeSpace".utf8)),
    ("Parallels", Array("WithouFreSpacExt".utf8)), ("QED", [0x51, 0x45, 0x44, 0]),
  ]

  /// What has no signature is a raw image.
  init(firstBytes: [UInt8]) {
    if firstBytes.starts(with: Qcow2Header.magic) {
      // Version 1 is another format.
      let version = firstBytes.bigEndian(at: 4, count: 4)
      self = version == 1 ? .foreign("qcow") : .known(.qcow2)
    } else if let foreign = Self.signatures.first(where: { firstBytes.starts(with: $0.bytes) }) {
      self = .foreign(foreign.name)
    } else if firstBytes.count >= 68, Array(firstBytes[64..<68]) == [0x7F, 0x10, 0xDA, 0xBE] {
      self = .foreign("VDI")
    } else {
      self = .known(.raw)
    }
  }

  init(of storage: any ImageStorage) throws(HostError) {
    let start = MemorySegments(zeroed: 512)
    try storage.read(into: start, at: 0)
    self.init(firstBytes: start.bytes())
  }
}
