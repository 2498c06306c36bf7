/// A function on bus 0: device (slot) and function number.
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
  /// The enhanced configuration space of bus 0.
  public static let configurationSpace: UInt64 = 0xE000_0000
  public static let configurationSpaceByteCount: UInt64 = 1 << 20
  /// Where base address registers may point, and where they point at first.
  public static let memoryWindow: ClosedRange<UInt64> = 0xC000_0000...0xDFFF_FFFF
  /// Ports that nothing else claims; no device of ours has I/O registers.
  public static let portWindow: ClosedRange<UInt16> = 0xC000...0xFFFF
  /// INTA…INTD of slot 0; slots rotate.
  public static let firstInterrupt: UInt8 = 16

  /// The I/O APIC input of a slot's INTA.
  public static func interrupt(ofDevice device: UInt8) -> UInt8 { firstInterrupt + device & 3 }
}
