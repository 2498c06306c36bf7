private import CHost

/// What CPUID answers on the host for one leaf and subleaf.
public struct RawCPUIDLeaf: Hashable, Sendable {
  public let leaf: UInt32
  public let subleaf: UInt32
  public let eax: UInt32
  public let ebx: UInt32
  public let ecx: UInt32
  public let edx: UInt32
}

/// The processor that the program runs on.
public enum HostCPU {
  /// The leaves that CPU models draw on, those that the host has.
  public static func readCPUID() -> [RawCPUIDLeaf] {
    let wanted: [(UInt32, UInt32)] = [
      (0, 0), (1, 0), (6, 0), (7, 0), (0xD, 0), (0xD, 1), (0x8000_0000, 0), (0x8000_0001, 0),
      (0x8000_0002, 0), (0x8000_0003, 0), (0x8000_0004, 0), (0x8000_0005, 0), (0x8000_0006, 0),
      (0x8000_0007, 0), (0x8000_0008, 0), (0x8000_0021, 0),
    ]
    let lastBasic = chost_cpuid(0, 0).eax
    let lastExtended = chost_cpuid(0x8000_0000, 0).eax
    return wanted.compactMap { leaf, subleaf in
      guard leaf <= (leaf < 0x8000_0000 ? lastBasic : lastExtended) else { return nil }
      let answer = chost_cpuid(leaf, subleaf)
      return RawCPUIDLeaf(
        leaf: leaf, subleaf: subleaf, eax: answer.eax, ebx: answer.ebx, ecx: answer.ecx,
        edx: answer.edx)
    }
  }
}

extension HostCPU {
  /// BMI2, whose PEXT translated code is built on.
  public static let hasBMI2 = chost_cpuid(7, 0).ebx >> 8 & 1 != 0

  /// Whether shifts and rotates by more than one leave OF as those by one would, as Intel's processors do. On AMD's it is the
  /// last step's. The manuals leave it undefined.
  public static let longShiftsOverflowAsShort = chost_overflow_of_long_shift() != 0

  /// AVX, with the host's operating system keeping its registers.
  public static let hasAVX: Bool = {
    let ecx = chost_cpuid(1, 0).ecx
    return ecx >> 27 & 1 != 0 && ecx >> 28 & 1 != 0
  }()
}
