import DeviceModel
import MachineTypes
import MartletTesting

@testable import PCIBus

/// Four registers of four bytes.
struct Registers: PCIDevice {
  var values = [UInt32](repeating: 0, count: 4)

  var identity: PCIIdentity { PCIIdentity(vendor: 0x1234, device: 0x5678, classCode: 0xFF_0000) }
  var registerByteCount: UInt32 { 0x100 }
  var vendorCapabilities: [PCIVendorCapability] { [PCIVendorCapability(body: [4, 1])] }

  mutating func read(from offset: UInt64, width: AccessWidth) throws(BusError) -> UInt64 {
    guard width == .doubleword, offset < 16 else { throw .noSuchRegister }
    return UInt64(values[Int(offset / 4)])
  }

  mutating func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .doubleword, offset < 16 else { throw .noSuchRegister }
    values[Int(offset / 4)] = UInt32(truncatingIfNeeded: value)
    return .none
  }

  mutating func reset() { values = [0, 0, 0, 0] }
}

struct Neighbour: PortIODevice {
  var value: UInt32 = 0
  mutating func read(from offset: UInt16, width: AccessWidth) throws(BusError) -> UInt32 { value }
  mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    self.value = value
    return .reset
  }
  mutating func reset() { value = 0 }
}

/// A root bus with configuration space, and a device in slot 3.
struct PCIFixture {
  let memory = MemoryBus()
  let ports = PortBus()
  let sink = RecordingMessageSink()
  let line = RecordingLine()
  let connector: PCIConnector
  let root: PCIRoot

  init() throws {
    connector = PCIConnector(messageCount: 3, line: line, sink: sink)
    root = PCIRoot(memory: memory)
    try root.attach(to: ports, sharingWith: AttachedDevice(Neighbour()))
    insert(on: root.bus, at: PCIAddress(device: 3), connector)
    root.assignAddresses()
  }

  @discardableResult func insert(
    on bus: PCIRoot.Bus, at address: PCIAddress, _ connector: PCIConnector? = nil
  ) -> PCIConnector {
    let connector =
      connector ?? PCIConnector(messageCount: 3, line: RecordingLine(), sink: sink)
    bus.insert(
      PCIFunction(AttachedDevice(Registers()), connector: connector, memory: memory), at: address)
    return connector
  }

  private func select(_ function: Function, _ register: UInt32) {
    let address = UInt32(function.bus) << 16 | UInt32(function.device) << 11
    _ = ports.write(
      1 << 31 | address | UInt32(function.function) << 8 | register & ~3, to: PortAddress(0xCF8),
      .doubleword)
  }

  func read(
    _ function: Function, _ register: UInt32, _ width: AccessWidth = .doubleword
  ) -> UInt32 {
    select(function, register)
    return ports.read(PortAddress(0xCFC + UInt16(register & 3)), width)
  }

  func write(
    _ value: UInt32, to function: Function, _ register: UInt32,
    _ width: AccessWidth = .doubleword
  ) {
    select(function, register)
    _ = ports.write(value, to: PortAddress(0xCFC + UInt16(register & 3)), width)
  }

  /// In slot 3.
  func read(_ register: UInt32, _ width: AccessWidth = .doubleword) -> UInt32 {
    read(.slot3, register, width)
  }

  /// In slot 3.
  func write(_ value: UInt32, _ register: UInt32, _ width: AccessWidth = .doubleword) {
    write(value, to: .slot3, register, width)
  }

  func memory32(_ address: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: memory.read(GuestPhysicalAddress(address), .doubleword))
  }

  func poke(_ value: UInt32, _ address: UInt64) {
    _ = memory.write(UInt64(value), to: GuestPhysicalAddress(address), .doubleword)
  }

  /// The register of a capability of slot 3, or of another function.
  func capability(_ identifier: UInt32, of function: Function = .slot3) -> UInt32 {
    var place = read(function, 0x34, .byte)
    while place != 0, read(function, place, .byte) != identifier {
      place = read(function, place + 1, .byte)
    }
    return place
  }

  /// Bus, device and function.
  struct Function {
    var bus: UInt8 = 0
    var device: UInt8
    var function: UInt8 = 0
    static let slot3 = Function(device: 3)
  }
}
