import BootLoaders
import Testing

struct BootImageTests {
  private func file(_ pieces: [(Int, [UInt8])], count: Int = 0x9000) -> [UInt8] {
    var bytes = [UInt8](repeating: 0x20, count: count)
    for (offset, piece) in pieces {
      bytes.replaceSubrange(offset..<offset + piece.count, with: piece)
    }
    return bytes
  }

  @Test func `kernels are told apart`() {
    #expect(BootImage.identify(SyntheticBzImage().bytes) == .bzImage(is64Bit: true))
    #expect(
      BootImage.identify(SyntheticBzImage(is64Bit: false).bytes) == .bzImage(is64Bit: false))
    #expect(BootImage.identify(SyntheticELF().bytes) == .elf(is64Bit: true))
    #expect(BootImage.identify(SyntheticELF(is64Bit: false).bytes) == .elf(is64Bit: false))
    #expect(
      BootImage.identify(SyntheticELF(pvhEntry: 0x100_0000).bytes) == .pvh(is64Bit: true))
  }

  @Test func `foreign files are named with what to do about them`() {
    let cases: [([UInt8], String)] = [
      ([], "empty file"),
      (file([(0, [0x1F, 0x8B, 8])]), "gunzip"),
      (file([(0, [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0])]), "unxz"),
      (file([(0, [0x28, 0xB5, 0x2F, 0xFD])]), "unzstd"),
      (file([(0, [0x4D, 0x5A]), (56, Array("ARMd".utf8))]), "64-bit ARM"),
      (file([(56, Array("RSC\u{05}".utf8))]), "RISC-V"),
      (file([(0, [0x4D, 0x5A])]), "EFI"),
      (file([(0x8001, Array("CD001".utf8))]), "ISO 9660"),
      (file([(510, [0x55, 0xAA])]), "boot sector"),
      (file([(0, Array("QFI".utf8) + [0xFB])]), "QCOW"),
      (file([(0, Array("070701".utf8))]), "cpio"),
      (file([(0, [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1]), (16, [2, 0, 183, 0])]), "machine 183"),
      (file([]), "no known format"),
    ]
    for (bytes, word) in cases {
      #expect {
        try load(bytes)
      } throws: { error in
        guard let error = error as? BootError, case .foreign = error else { return false }
        return error.description.contains(word) && error.description.contains(": ")
      }
    }
  }
}
