public import HostSystem

/// A format of disk images that Martlet leaves to QEMU's block layer (`qemu-nbd`).
public struct ForeignFormat: Hashable, Sendable {
  /// QEMU's name of the format's driver.
  public var driver: String

  /// - Parameter driver: QEMU's name of it: letters, digits and hyphens.
  public init?(driver: String) {
    let isName = driver.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "-"):
        true
      default: false
      }
    }
    guard isName, !driver.isEmpty, driver.utf8.count <= 32 else { return nil }
    self.driver = driver
  }

  private struct Signature {
    var driver: String
    var offset: Int
    var bytes: [UInt8]
    /// How files of the format are called.
    var extensions: Set<String>
  }

  private static let signatures = [
    Signature(driver: "vmdk", offset: 0, bytes: Array("KDMV".utf8), extensions: ["vmdk"]),
    Signature(
      driver: "vmdk", offset: 0, bytes: Array("# Disk DescriptorFile".utf8), extensions: ["vmdk"]),
    Signature(driver: "vhdx", offset: 0, bytes: Array("vhdxfile".utf8), extensions: ["vhdx"]),
    Signature(
      driver: "vpc", offset: 0, bytes: Array("conectix".utf8), extensions: ["vhd", "vpc"]),
    Signature(
      driver: "vdi", offset: 64, bytes: [0x7F, 0x10, 0xDA, 0xBE], extensions: ["vdi"]),
    Signature(
      driver: "parallels", offset: 0, bytes: Array("WithoutFreeSpace".utf8),
      extensions: ["hdd", "hds", "parallels"]),
    Signature(
      driver: "parallels", offset: 0, bytes: Array("WithouFreSpacExt".utf8),
      extensions: ["hdd", "hds", "parallels"]),
    Signature(driver: "qed", offset: 0, bytes: [0x51, 0x45, 0x44, 0], extensions: ["qed"]),
  ]

  /// What the first bytes of an image say, and whether its name agrees.
  ///
  /// Only the two together are to be trusted: a guest that has a raw image writes its first bytes as it likes, and
  /// an image of another format may name other files of the host as parts of it.
  public static func detect(
    path: String
  ) throws(HostError) -> (format: ForeignFormat, nameAgrees: Bool)? {
    let file = try ImageFile(path: path, isReadOnly: true)
    defer { file.unlock() }
    let buffer = MemorySegments(zeroed: 512)
    try file.read(into: buffer, at: 0)
    let first = buffer.bytes()
    let end = try file.byteCount()
    // Of a VHD of fixed size: all that tells it from a raw image.
    try file.read(into: buffer, at: end >= 512 ? end - 512 : 0)
    let last = buffer.bytes()
    let nameEnd = path.split(separator: ".").last.map { $0.lowercased() } ?? ""
    for signature in signatures {
      let isVHD = signature.driver == "vpc"
      guard
        first[signature.offset...].starts(with: signature.bytes)
          || isVHD && signature.extensions.contains(nameEnd) && last.starts(with: signature.bytes),
        let format = ForeignFormat(driver: signature.driver)
      else { continue }
      return (format, signature.extensions.contains(nameEnd))
    }
    return nil
  }

  /// The server that has the image.
  ///
  /// - Parameter program: the path of `qemu-nbd`.
  public func server(program: String, imagePath: String, isReadOnly: Bool) -> NBDServer {
    let path = imagePath.split(separator: ",", omittingEmptySubsequences: false)
      .joined(separator: ",,")
    let options = ["--image-opts", "--cache=writeback", "--discard=unmap", "--export-name="]
    return .command(
      [program] + options + (isReadOnly ? ["--read-only"] : [])
        + ["driver=\(driver),file.filename=\(path)"])
  }
}
