import DeviceModel
import MachineTypes

/// Configuration mechanism 1 (PCI 3.0 §3.2.2.3.2): CONFIG_ADDRESS at CF8h, a doubleword, and CONFIG_DATA
/// at CFCh.
struct ConfigurationPorts<Neighbour: PortIODevice>: PortIODevice {
  /// Weak: the root holds on to the bus that this is on.
  weak let root: PCIRoot?
  let neighbour: AttachedDevice<Neighbour>
  private var address: UInt32 = 0

  init(root: PCIRoot, neighbour: AttachedDevice<Neighbour>) {
    self.root = root
    self.neighbour = neighbour
  }

  private static var enable: UInt32 { 1 << 31 }
  private static var addressBits: UInt32 { 0x80FF_FFFC }

  /// Bus, function and register that a data access reaches; `nil` if it is disabled or crosses.
  private func place(_ offset: UInt16, _ width: AccessWidth) -> (UInt8, UInt8, Int)? {
    guard address & Self.enable != 0, offset & 3 + UInt16(width.byteCount) <= 4,
      offset % UInt16(width.byteCount) == 0
    else { return nil }
    return (
      UInt8(truncatingIfNeeded: address >> 16), UInt8(truncatingIfNeeded: address >> 8),
      Int(address & 0xFC) + Int(offset & 3)
    )
  }

  mutating func read(from offset: UInt16, width: AccessWidth) throws(BusError) -> UInt32 {
    if offset < 4 {
      if offset == 0, width == .doubleword { return address }
      return try neighbour.withDevice { (device) throws(BusError) in
        try device.read(from: offset, width: width)
      }
    }
    guard let (bus, function, register) = place(offset, width) else { throw .noSuchRegister }
    guard let root else { throw .noSuchRegister }
    return root.read(bus: bus, function, register, width)
  }

  mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    if offset < 4 {
      if offset == 0, width == .doubleword {
        address = value & Self.addressBits
        return .none
      }
      return try neighbour.withDevice { (device) throws(BusError) in
        try device.write(value, to: offset, width: width)
      }
    }
    guard let (bus, function, register) = place(offset, width) else { throw .noSuchRegister }
    guard let root else { throw .noSuchRegister }
    return root.write(value, bus: bus, function, register, width)
  }

  mutating func reset() {
    address = 0
    neighbour.withDevice { $0.reset() }
  }
}

/// The enhanced configuration access mechanism (PCI Express 3.0 §7.2.2).
struct EnhancedConfiguration: MemoryMappedDevice {
  /// Weak: the root holds on to the bus that this is on.
  weak let root: PCIRoot?

  func read(from offset: UInt64, width: AccessWidth) throws(BusError) -> UInt64 {
    let (bus, function, register) = try place(offset, width)
    guard let root else { throw .noSuchRegister }
    return UInt64(root.read(bus: bus, function, register, width))
  }

  func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    let (bus, function, register) = try place(offset, width)
    guard let root else { throw .noSuchRegister }
    return root.write(UInt32(truncatingIfNeeded: value), bus: bus, function, register, width)
  }

  private func place(
    _ offset: UInt64, _ width: AccessWidth
  ) throws(BusError) -> (UInt8, UInt8, Int) {
    guard width != .quadword else { throw .wrongWidth }
    guard offset % UInt64(width.byteCount) == 0 else { throw .wrongWidth }
    return (
      UInt8(truncatingIfNeeded: offset >> 20), UInt8(truncatingIfNeeded: offset >> 12),
      Int(offset & 0xFFF)
    )
  }

  /// `PCIRoot.reset` resets what is behind it.
  func reset() {}
}
