public import DeviceModel
import MachineTypes
import Synchronization

/// PCI bus 0 with its host bridge: configuration by ports (mechanism 1) and by memory (ECAM).
public final class PCIRoot: Sendable {
  private let functions = Mutex<[UInt8: PCIFunction]>([:])
  private let memory: MemoryBus

  /// The Q35's host bridge (Intel 82G33 data sheet); Linux knows no quirk of it that would matter here.
  private static let hostBridge = PCIIdentity(vendor: 0x8086, device: 0x29C0, classCode: 0x06_0000)

  /// - Parameter memory: where base address registers point into.
  public init(memory: MemoryBus) {
    self.memory = memory
    functions.withLock { $0[0] = PCIFunction(Self.hostBridge, memory: memory) }
  }

  /// Makes configuration space answer.
  ///
  /// - Parameter neighbour: the device that has the four address ports for itself, save for
  ///   doublewords (the reset control register at CF9h).
  public func attach<Neighbour: PortIODevice>(
    to ports: PortBus, sharingWith neighbour: AttachedDevice<Neighbour>
  ) throws(BusOverlapError) {
    let mechanism = AttachedDevice(ConfigurationPorts(root: self, neighbour: neighbour))
    try ports.attach(mechanism, at: PortAddress(PCILayout.configurationPort), count: 8)
    try memory.attach(
      AttachedDevice(EnhancedConfiguration(root: self)),
      at: GuestPhysicalAddress(PCILayout.configurationSpace),
      byteCount: PCILayout.configurationSpaceByteCount)
  }

  /// Plugs a function in.
  public func insert(_ function: PCIFunction, at address: PCIAddress) {
    function.setInterruptLine(PCILayout.interrupt(ofDevice: address.device))
    functions.withLock {
      precondition($0[address.number] == nil, "two functions in one place")
      $0[address.number] = function
    }
  }

  /// Gives all functions addresses, as firmware does before a guest starts.
  public func assignAddresses() {
    var next = PCILayout.memoryWindow.lowerBound
    for (_, function) in functions.withLock({ $0.sorted { $0.key < $1.key } }) {
      function.assignAddresses(from: &next)
    }
  }

  /// Back to power-on, with addresses assigned.
  public func reset() {
    for function in functions.withLock({ Array($0.values) }) { function.reset() }
    assignAddresses()
  }

  // MARK: Accesses

  /// - Parameters:
  ///   - number: device and function.
  ///   - register: below 4096, aligned to `width`.
  func read(bus: UInt8, _ number: UInt8, _ register: Int, _ width: AccessWidth) -> UInt32 {
    guard bus == 0, let function = functions.withLock({ $0[number] }) else {
      return UInt32(truncatingIfNeeded: width.allOnes)
    }
    return function.read(register, width) & UInt32(truncatingIfNeeded: width.allOnes)
  }

  func write(
    _ value: UInt32, bus: UInt8, _ number: UInt8, _ register: Int, _ width: AccessWidth
  ) -> MachineRequest {
    guard bus == 0, let function = functions.withLock({ $0[number] }) else { return .none }
    return function.write(value, register, width)
  }
}

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

/// The enhanced configuration access mechanism (PCI Express 3.0 §7.2.2), for bus 0.
struct EnhancedConfiguration: MemoryMappedDevice {
  /// Weak: the root holds on to the bus that this is on.
  weak let root: PCIRoot?

  func read(from offset: UInt64, width: AccessWidth) throws(BusError) -> UInt64 {
    let (function, register) = try place(offset, width)
    guard let root else { throw .noSuchRegister }
    return UInt64(root.read(bus: 0, function, register, width))
  }

  func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    let (function, register) = try place(offset, width)
    guard let root else { throw .noSuchRegister }
    return root.write(UInt32(truncatingIfNeeded: value), bus: 0, function, register, width)
  }

  private func place(
    _ offset: UInt64, _ width: AccessWidth
  ) throws(BusError) -> (UInt8, Int) {
    guard width != .quadword else { throw .wrongWidth }
    guard offset % UInt64(width.byteCount) == 0 else { throw .wrongWidth }
    return (UInt8(truncatingIfNeeded: offset >> 12), Int(offset & 0xFFF))
  }

  /// `PCIRoot.reset` resets what is behind it.
  func reset() {}
}
