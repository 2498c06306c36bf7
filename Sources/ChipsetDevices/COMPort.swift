public import MachineTypes

/// The PC's four serial ports at their customary places.
public enum COMPort: Int, CaseIterable, Codable, Sendable {
  case com1, com2, com3, com4

  public var firstPort: PortAddress {
    switch self {
    case .com1: PortAddress(0x3F8)
    case .com2: PortAddress(0x2F8)
    case .com3: PortAddress(0x3E8)
    case .com4: PortAddress(0x2E8)
    }
  }

  public var interruptNumber: UInt8 { self == .com1 || self == .com3 ? 4 : 3 }
}
