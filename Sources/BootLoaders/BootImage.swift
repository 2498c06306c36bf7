/// What a file is that somebody wants to boot.
public struct BootImage: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// A Linux bzImage for x86.
    case bzImage(is64Bit: Bool)
    /// A Linux zImage, which only real-mode loaders can load, below 640 KiB.
    case zImage
    /// An x86 ELF executable without a PVH note.
    case elf(is64Bit: Bool)
    /// An x86 ELF executable with a PVH entry point.
    case pvh(is64Bit: Bool)
    /// An ELF file for another machine or of another kind than an executable.
    case foreignELF(machine: UInt16, type: UInt16)
    /// Something packed: the tool that unpacks it.
    case compressed(tool: String)
    /// A kernel for another architecture.
    case otherArchitecture(String)
    /// A Windows or EFI program without a Linux setup header.
    case portableExecutable
    case diskImage(String)
    case archive(String)
    case empty
    case unknown
  }

  /// What `bytes` look like, from their first few kilobytes. It promises nothing about the rest.
  public static func identify(_ bytes: [UInt8]) -> Kind {
    let reader = ByteReader(bytes: bytes)
    if bytes.isEmpty { return .empty }
    if reader.hasPrefix([0x7F, 0x45, 0x4C, 0x46]) { return identifyELF(reader) }
    if reader.hasPrefix(Array("HdrS".utf8), at: 0x202) {
      let flags = reader.integer(UInt16.self, at: 0x236) ?? 0
      let version = reader.integer(UInt16.self, at: 0x206) ?? 0
      return .bzImage(is64Bit: version >= 0x20C && flags & 1 != 0)
    }
    for signature in signatures where reader.hasPrefix(signature.bytes, at: signature.offset) {
      return signature.kind
    }
    return .unknown
  }

  private static func identifyELF(_ reader: ByteReader) -> Kind {
    guard let type = reader.integer(UInt16.self, at: 16),
      let machine = reader.integer(UInt16.self, at: 18)
    else { return .foreignELF(machine: 0, type: 0) }
    guard let image = try? ELFImage(reader) else {
      let isOurs = (machine == 3 || machine == 62) && (type == 2 || type == 3)
      return isOurs ? .elf(is64Bit: machine == 62) : .foreignELF(machine: machine, type: type)
    }
    return image.kind
  }

  private struct Signature {
    var offset = 0
    var bytes: [UInt8]
    var kind: Kind
  }

  private static let signatures: [Signature] = [
    Signature(offset: 56, bytes: Array("ARM\u{64}".utf8), kind: .otherArchitecture("64-bit ARM")),
    Signature(offset: 56, bytes: Array("RSC\u{05}".utf8), kind: .otherArchitecture("RISC-V")),
    Signature(
      offset: 36, bytes: [0x18, 0x28, 0x6F, 0x01], kind: .otherArchitecture("32-bit ARM")),
    Signature(bytes: [0x27, 0x05, 0x19, 0x56], kind: .otherArchitecture("U-Boot (uImage)")),
    Signature(bytes: [0x1F, 0x8B], kind: .compressed(tool: "gunzip")),
    Signature(bytes: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], kind: .compressed(tool: "unxz")),
    Signature(bytes: [0x28, 0xB5, 0x2F, 0xFD], kind: .compressed(tool: "unzstd")),
    Signature(bytes: [0x42, 0x5A, 0x68], kind: .compressed(tool: "bunzip2")),
    Signature(bytes: [0x02, 0x21, 0x4C, 0x18], kind: .compressed(tool: "unlz4")),
    Signature(bytes: [0x04, 0x22, 0x4D, 0x18], kind: .compressed(tool: "unlz4")),
    Signature(bytes: [0x89, 0x4C, 0x5A, 0x4F], kind: .compressed(tool: "lzop -d")),
    Signature(
      bytes: Array("070701".utf8), kind: .archive("a cpio archive, like an initial RAM disk")),
    Signature(bytes: Array("!<arch>".utf8), kind: .archive("a Debian package or static library")),
    Signature(bytes: [0x50, 0x4B, 0x03, 0x04], kind: .archive("a ZIP archive")),
    Signature(bytes: [0xED, 0xAB, 0xEE, 0xDB], kind: .archive("an RPM package")),
    Signature(offset: 257, bytes: Array("ustar".utf8), kind: .archive("a tar archive")),
    Signature(offset: 0x8001, bytes: Array("CD001".utf8), kind: .diskImage("an ISO 9660 image")),
    Signature(bytes: Array("QFI".utf8) + [0xFB], kind: .diskImage("a QCOW disk image")),
    Signature(bytes: Array("KDMV".utf8), kind: .diskImage("a VMDK disk image")),
    Signature(bytes: Array("vhdxfile".utf8), kind: .diskImage("a VHDX disk image")),
    Signature(bytes: Array("hsqs".utf8), kind: .diskImage("a SquashFS file system")),
    Signature(bytes: [0x4D, 0x5A], kind: .portableExecutable),
    Signature(offset: 510, bytes: [0x55, 0xAA], kind: .diskImage("a disk with a boot sector")),
  ]
}

extension BootImage.Kind: CustomStringConvertible {
  public var description: String {
    switch self {
    case .bzImage(let is64Bit): "a \(is64Bit ? "64" : "32")-bit Linux bzImage"
    case .zImage: "a Linux zImage of the 1990s"
    case .elf(let is64Bit): "a \(is64Bit ? "64" : "32")-bit x86 ELF kernel"
    case .pvh(let is64Bit): "a \(is64Bit ? "64" : "32")-bit x86 ELF kernel with a PVH entry"
    case .foreignELF(let machine, let type): "an ELF file of type \(type) for machine \(machine)"
    case .compressed: "a compressed file"
    case .otherArchitecture(let name): "a kernel for \(name)"
    case .portableExecutable: "an EFI or Windows program"
    case .diskImage(let name), .archive(let name): name
    case .empty: "an empty file"
    case .unknown: "a file of no known format"
    }
  }

  /// What is wrong with booting it, and what to do.
  var refusal: String {
    let advice =
      switch self {
      case .bzImage, .elf, .pvh: "choose another loader"
      case .zImage: "give a bzImage"
      case .foreignELF: "give an x86 executable, for example vmlinux"
      case .compressed(let tool): "unpack it with \(tool) first"
      case .otherArchitecture: "Martlet runs x86 kernels"
      case .portableExecutable: "it has no Linux setup header; give a bzImage or vmlinux"
      case .diskImage, .archive: "take the kernel (vmlinuz) out of it and give that"
      case .empty: "copy or download it again"
      case .unknown: "give a Linux bzImage (vmlinuz) or an ELF kernel (vmlinux)"
      }
    return "the kernel file is \(self): \(advice)"
  }
}
