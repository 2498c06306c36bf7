public import DeviceModel
import MachineTypes
import Synchronization

/// One function on a bus: its configuration space, and what moves with it.
public final class PCIFunction: Sendable {
  private struct State: Sendable {
    var space: ConfigurationSpace
    /// What reset goes back to.
    var powerOn: ConfigurationSpace
    var regions: [FunctionRegion]
    var upstream = Upstream.host
  }

  /// Where the capabilities lie that the function acts on.
  private struct Capabilities: Sendable {
    var messageTable: Int
    var message: Int
    var reset: Int
    var window: Int?
  }

  private let state: Mutex<State>
  private let connector: PCIConnector?
  private let memory: MemoryBus
  private let readRegister: @Sendable (UInt64, AccessWidth) -> UInt64
  private let writeRegister: @Sendable (UInt64, UInt64, AccessWidth) -> MachineRequest
  private let resetDevice: @Sendable () -> Void
  private let capabilities: Capabilities?

  /// A function without a device: a host bridge.
  init(_ identity: PCIIdentity, memory: MemoryBus) {
    let space = ConfigurationSpace(identity)
    state = Mutex(State(space: space, powerOn: space, regions: []))
    connector = nil
    self.memory = memory
    readRegister = { _, width in width.allOnes }
    writeRegister = { _, _, _ in .none }
    resetDevice = {}
    capabilities = nil
  }

  /// - Parameter connector: the one that the device was made with.
  public init<Device: PCIDevice>(
    _ device: AttachedDevice<Device>, connector: PCIConnector, memory: MemoryBus
  ) {
    let (identity, byteCount, vendorCapabilities) = device.withDevice {
      ($0.identity, $0.registerByteCount, $0.vendorCapabilities)
    }
    var space = ConfigurationSpace(identity)
    let table = AttachedDevice(MessageTable(connector: connector))
    let regions = [
      FunctionRegion(number: 0, byteCount: byteCount, isWide: true) {
        (address) throws(BusOverlapError) in
        try memory.attach(device, at: address, byteCount: UInt64(byteCount))
      },
      FunctionRegion(number: 2, byteCount: PCIConnector.tableByteCount, isWide: false) {
        (address) throws(BusOverlapError) in
        try memory.attach(table, at: address, byteCount: UInt64(PCIConnector.tableByteCount))
      },
    ]
    for region in regions {
      space.addBaseAddress(region.number, byteCount: region.byteCount, isWide: region.isWide)
    }
    let messageTable = space.addMessageTable(messageCount: connector.messageCount, region: 2)
    let window = space.addVendorCapabilities(vendorCapabilities)
    capabilities = Capabilities(
      messageTable: messageTable, message: space.addMessage(), reset: space.addReset(),
      window: window)
    self.connector = connector
    self.memory = memory
    state = Mutex(State(space: space, powerOn: space, regions: regions))
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

  /// What an access to the window's data asks of BAR 0.
  private func windowAccess(_ offset: Int) -> (offset: UInt64, width: AccessWidth)? {
    guard let window = capabilities?.window, (window + 16..<window + 20).contains(offset) else {
      return nil
    }
    return state.withLock { state in
      let length = state.space.get32(window + 12)
      let start = state.space.get32(window + 8)
      guard state.space.get8(window + 4) == 0, length <= 4,
        let width = AccessWidth(rawValue: UInt8(length)), start % length == 0
      else { return nil }
      return (UInt64(start), width)
    }
  }

  /// Moves what the registers say: regions, interrupts, mastership. Returns whether a region left its place.
  private func settle(_ state: inout State) -> Bool {
    var hasMoved = false
    for number in state.regions.indices
    where state.regions[number].settle(state.space, state.upstream, memory) {
      hasMoved = true
    }
    guard let connector, let capabilities else { return hasMoved }
    let command = state.space.get16(ConfigurationSpace.Register.command)
    connector.commandChanged(
      isBusMaster: command & ConfigurationSpace.Command.busMaster != 0
        && state.upstream.passesMastering,
      isLineDisabled: command & ConfigurationSpace.Command.interruptDisable != 0)
    connector.wireMessageChanged(state.space.message(at: capabilities.message))
    let control = state.space.get16(capabilities.messageTable + 2)
    connector.messageControlChanged(
      isEnabled: control & 1 << 15 != 0, isMasked: control & 1 << 14 != 0)
    return hasMoved
  }

  // MARK: Set-up

  func setInterrupt(pin: UInt8, line: UInt8) {
    change {
      $0.set8(ConfigurationSpace.Register.interruptPin, pin)
      $0.set8(ConfigurationSpace.Register.interruptLine, line)
    }
  }

  /// Changes what the function has from power-on.
  private func change(_ body: (inout ConfigurationSpace) -> Void) {
    state.withLock {
      body(&$0.powerOn)
      body(&$0.space)
    }
  }
}

extension PCIFunction: BusFunction {
  func read(_ offset: Int, _ width: AccessWidth) -> UInt32 {
    guard offset < 256 else { return 0 }
    if let access = windowAccess(offset) {
      let value = readRegister(access.offset, access.width)
      return UInt32(truncatingIfNeeded: value >> UInt64(8 * (offset & 3)))
    }
    let value = state.withLock { $0.space.read(offset, width) }
    guard let connector, let capabilities else { return value }
    // STATUS.INTERRUPT_STATUS and MSI's pending bit, which follow the device.
    if offset <= 6, offset + width.byteCount > 6, connector.isLineAsserted {
      return value | UInt32(ConfigurationSpace.interruptStatus) << UInt32(8 * (6 - offset))
    }
    if offset == capabilities.message + ConfigurationSpace.Message.pending,
      connector.isWireMessagePending
    {
      return value | 1
    }
    return value
  }

  func write(_ value: UInt32, _ offset: Int, _ width: AccessWidth) -> ConfigurationEffect {
    var effect = ConfigurationEffect()
    guard offset < 256 else { return effect }
    if let capabilities, offset == capabilities.reset + 4, value & 1 != 0 {
      reset()
      effect.freesPlaces = true
      return effect
    }
    effect.freesPlaces = state.withLock {
      $0.space.write(value, offset, width)
      return settle(&$0)
    }
    if let access = windowAccess(offset) {
      effect.request = writeRegister(UInt64(value), access.offset, access.width)
    }
    return effect
  }

  func retryPlaces() {
    state.withLock { if $0.regions.contains(where: \.isBlocked) { _ = settle(&$0) } }
  }

  func setUpstream(_ upstream: Upstream) -> Bool {
    state.withLock {
      $0.upstream = upstream
      return settle(&$0)
    }
  }

  func setMultifunction() {
    change {
      let type = $0.get8(ConfigurationSpace.Register.headerType)
      $0.set8(
        ConfigurationSpace.Register.headerType, type | ConfigurationSpace.isMultifunction)
    }
  }

  func reset() {
    state.withLock { state in
      state.space = state.powerOn
      _ = settle(&state)
    }
    connector?.reset()
    resetDevice()
  }

  /// Gives the base address registers places, as firmware does.
  func assignAddresses(_ plan: inout AddressPlan) {
    state.withLock { state in
      for region in state.regions {
        guard let start = plan.take(UInt64(region.byteCount)) else { continue }
        let type = state.space.get32(region.register) & 0xF
        state.space.set32(region.register, UInt32(truncatingIfNeeded: start) | type)
      }
      let command = state.space.get16(ConfigurationSpace.Register.command)
      state.space.set16(
        ConfigurationSpace.Register.command, command | ConfigurationSpace.Command.memorySpace)
      _ = settle(&state)
    }
  }
}
