/// A function on its bus: device (slot) and function number.
public struct PCIAddress: Hashable, Comparable, Sendable {
  /// 0…31
  public let device: UInt8
  /// 0…7
  public let function: UInt8

  public init(device: UInt8, function: UInt8 = 0) {
    precondition(device < 32 && function < 8)
    self.device = device
    self.function = function
  }

  /// Bits 7:0 of a requester id.
  var number: UInt8 { device << 3 | function }

  public static func < (a: Self, b: Self) -> Bool { a.number < b.number }
}

/// Where PCI lies in the machine's address space. The firmware tables say the same.
public enum PCILayout {
  /// CF8h: the address register, and the data register four ports on (PCI 3.0 §3.2.2.3.2).
  public static let configurationPort: UInt16 = 0xCF8
  /// The enhanced configuration space: 1 MiB for each of 256 buses.
  public static let configurationSpace: UInt64 = 0xE000_0000
  public static let configurationSpaceByteCount: UInt64 = 256 << 20
  /// Where base address registers may point, and where they point at first.
  public static let memoryWindow: ClosedRange<UInt64> = 0xC000_0000...0xDFFF_FFFF
  /// Ports that nothing else claims; no device of ours has I/O registers.
  public static let portWindow: ClosedRange<UInt16> = 0xC000...0xFFFF
  /// INTA…INTD of slot 0; slots rotate.
  public static let firstInterrupt: UInt8 = 16

  /// The window above RAM for base address registers of 64 bits: from the next 4 GiB on, as far as the processor
  /// reaches; `nil` if that is nowhere.
  ///
  /// - Parameters:
  ///   - end: the address after the last byte of RAM.
  ///   - addressBits: of physical addresses (CPUID.80000008H:EAX), up to 52.
  public static func highMemoryWindow(
    above end: UInt64, addressBits: UInt8
  ) -> ClosedRange<UInt64>? {
    let alignment: UInt64 = 4 << 30
    let start = max(alignment, (end + (alignment - 1)) & ~(alignment - 1))
    let limit: UInt64 = 1 << UInt64(min(addressBits, 52))
    return start < limit ? start...(limit - 1) : nil
  }
}
