public import DeviceModel
import MachineTypes
import Synchronization

/// A device behind a function. BAR 0 holds its registers, BAR 1 its MSI-X table.
public protocol PCIDevice: MemoryMappedDevice {
  var identity: PCIIdentity { get }
  /// The bytes of BAR 0: a power of two, 16…16 MiB.
  var registerByteCount: UInt32 { get }
  /// Vendor-specific capabilities (identifier 9), each from its length byte on.
  var vendorCapabilities: [PCIVendorCapability] { get }
}

public struct PCIVendorCapability: Hashable, Sendable {
  /// What follows the capability's identifier and link.
  public var body: [UInt8]
  /// The capability is a window to BAR 0 (virtio 1.2 §4.1.4.9): offset and length, which the guest
  /// writes, at byte 8 and 12, the data at byte 16.
  public var isWindow: Bool

  public init(body: [UInt8], isWindow: Bool = false) {
    self.body = body
    self.isWindow = isWindow
  }
}

/// One function on the bus: its configuration space, and what moves with it.
public final class PCIFunction: Sendable {
  private struct Region: Sendable {
    let byteCount: UInt32
    let attach: @Sendable (GuestPhysicalAddress) throws(BusOverlapError) -> Void
    /// Where it answers now.
    var address: UInt64?
  }

  private struct State: Sendable {
    var space: ConfigurationSpace
    var regions: [Region]
  }

  private let state: Mutex<State>
  private let powerOn: ConfigurationSpace
  private let connector: PCIConnector?
  private let memory: MemoryBus
  private let readRegister: @Sendable (UInt64, AccessWidth) -> UInt64
  private let writeRegister: @Sendable (UInt64, UInt64, AccessWidth) -> MachineRequest
  private let resetDevice: @Sendable () -> Void
  private let messageControl: Int?
  private let window: Int?

  private static let vendorSpecific: UInt8 = 0x09
  private static let messages: UInt8 = 0x11

  /// A function without a device: a host bridge.
  init(_ identity: PCIIdentity, memory: MemoryBus) {
    powerOn = ConfigurationSpace(identity)
    state = Mutex(State(space: powerOn, regions: []))
    connector = nil
    self.memory = memory
    readRegister = { _, width in width.allOnes }
    writeRegister = { _, _, _ in .none }
    resetDevice = {}
    messageControl = nil
    window = nil
  }

  /// - Parameter connector: the one that the device was made with.
  public init<Device: PCIDevice>(
    _ device: AttachedDevice<Device>, connector: PCIConnector, memory: MemoryBus
  ) {
    let (identity, byteCount, capabilities) = device.withDevice {
      ($0.identity, $0.registerByteCount, $0.vendorCapabilities)
    }
    var space = ConfigurationSpace(identity)
    space.addBaseAddress(0, byteCount: byteCount)
    space.addBaseAddress(1, byteCount: PCIConnector.tableByteCount)
    space.set8(ConfigurationSpace.Register.interruptPin, 1)
    // Message control; table and pending bits in BAR 1.
    let count = UInt16(connector.messageCount - 1)
    messageControl =
      2
      + space.addCapability(
        Self.messages,
        [
          UInt8(truncatingIfNeeded: count), UInt8(count >> 8), 1, 0, 0, 0,
          1, UInt8(PCIConnector.pendingBits >> 8), 0, 0,
        ], writable: [3: 0xC0])
    var window: Int?
    for capability in capabilities {
      var mask: [Int: UInt8] = [:]
      if capability.isWindow {
        for byte in 4...4 { mask[byte] = 0xFF }
        for byte in 8..<20 { mask[byte] = 0xFF }
      }
      let offset = space.addCapability(Self.vendorSpecific, capability.body, writable: mask)
      if capability.isWindow { window = offset }
    }
    self.window = window
    powerOn = space
    self.connector = connector
    self.memory = memory
    let table = AttachedDevice(MessageTable(connector: connector))
    state = Mutex(
      State(
        space: space,
        regions: [
          Region(
            byteCount: byteCount,
            attach: { (address) throws(BusOverlapError) in
              try memory.attach(device, at: address, byteCount: UInt64(byteCount))
            }),
          Region(
            byteCount: PCIConnector.tableByteCount,
            attach: { (address) throws(BusOverlapError) in
              try memory.attach(
                table, at: address, byteCount: UInt64(PCIConnector.tableByteCount))
            }),
        ]))
    readRegister = { offset, width in
      (try? device.withDevice { (device) throws(BusError) in
        try device.read(from: offset, width: width)
      }) ?? width.allOnes
    }
    writeRegister = { value, offset, width in
      (try? device.withDevice { (device) throws(BusError) in
        try device.write(value, to: offset, width: width)
      }) ?? .none
    }
    resetDevice = { device.withDevice { $0.reset() } }
  }

  // MARK: Configuration accesses

  /// - Parameter offset: aligned to `width`.
  func read(_ offset: Int, _ width: AccessWidth) -> UInt32 {
    guard offset < 256 else { return 0 }
    if let access = windowAccess(offset) {
      let value = readRegister(access.offset, access.width)
      return UInt32(truncatingIfNeeded: value >> UInt64(8 * (offset & 3)))
    }
    let value = state.withLock { $0.space.read(offset, width) }
    // STATUS.INTERRUPT_STATUS, which follows the device.
    if offset <= 6, offset + width.byteCount > 6, let connector, connector.isLineAsserted {
      return value | UInt32(ConfigurationSpace.interruptStatus) << UInt32(8 * (6 - offset))
    }
    return value
  }

  func write(_ value: UInt32, _ offset: Int, _ width: AccessWidth) -> MachineRequest {
    guard offset < 256 else { return .none }
    state.withLock {
      $0.space.write(value, offset, width)
      settle(&$0)
    }
    if let access = windowAccess(offset) {
      return writeRegister(UInt64(value), access.offset, access.width)
    }
    return .none
  }

  /// What an access to the window's data asks of BAR 0.
  private func windowAccess(_ offset: Int) -> (offset: UInt64, width: AccessWidth)? {
    guard let window, (window + 16..<window + 20).contains(offset) else { return nil }
    return state.withLock { state in
      let length = state.space.get32(window + 12)
      let start = state.space.get32(window + 8)
      guard state.space.read(window + 4, .byte) == 0, length <= 4,
        let width = AccessWidth(rawValue: UInt8(length)), start % length == 0
      else { return nil }
      return (UInt64(start), width)
    }
  }

  /// Moves what the registers say: regions, interrupts, mastership.
  private func settle(_ state: inout State) {
    let command = state.space.get16(ConfigurationSpace.Register.command)
    for number in state.regions.indices {
      let register = state.space.get32(ConfigurationSpace.Register.firstBaseAddress + 4 * number)
      let decodes = command & ConfigurationSpace.Command.memorySpace != 0
      let address = UInt64(register & ~0xF)
      let isPlaced =
        decodes && address != 0
        && address + UInt64(state.regions[number].byteCount) <= 0xFFFF_FFFF
      place(&state.regions[number], at: isPlaced ? address : nil)
    }
    guard let connector, let messageControl else { return }
    connector.commandChanged(
      isBusMaster: command & ConfigurationSpace.Command.busMaster != 0,
      isLineDisabled: command & ConfigurationSpace.Command.interruptDisable != 0)
    let control = state.space.get16(messageControl)
    connector.messageControlChanged(
      isEnabled: control & 1 << 15 != 0, isMasked: control & 1 << 14 != 0)
  }

  /// A region that would cover another device answers nowhere.
  private func place(_ region: inout Region, at address: UInt64?) {
    guard region.address != address else { return }
    if let old = region.address { memory.detach(at: GuestPhysicalAddress(rawValue: old)) }
    region.address = nil
    guard let address else { return }
    do throws(BusOverlapError) {
      try region.attach(GuestPhysicalAddress(rawValue: address))
      region.address = address
    } catch {}
  }

  // MARK: Set-up

  /// Gives the base address registers places from `next` on, as firmware would.
  func assignAddresses(from next: inout UInt64) {
    state.withLock { state in
      for number in state.regions.indices {
        let size = UInt64(state.regions[number].byteCount)
        next = (next + size - 1) & ~(size - 1)
        state.space.set32(
          ConfigurationSpace.Register.firstBaseAddress + 4 * number, UInt32(next))
        next += size
      }
      let command = state.space.get16(ConfigurationSpace.Register.command)
      state.space.set16(
        ConfigurationSpace.Register.command, command | ConfigurationSpace.Command.memorySpace)
      settle(&state)
    }
  }

  func setInterruptLine(_ number: UInt8) {
    state.withLock { $0.space.set8(ConfigurationSpace.Register.interruptLine, number) }
  }

  func reset() {
    state.withLock { state in
      state.space = powerOn
      settle(&state)
    }
    connector?.reset()
    resetDevice()
  }
}
