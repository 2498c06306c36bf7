import DeviceModel
import MachineTypes
import Synchronization

/// A PCI-to-PCI bridge (PCI-to-PCI Bridge Architecture 1.2): a bus behind a function, with windows for memory below
/// 4 GiB and, prefetchable, for all of memory. Its window for ports leads nowhere: no device here has any.
final class PCIBridge: Sendable {
  /// Registers of the type 1 header (§3.2).
  private enum Register {
    static let primaryBus = 0x18
    static let secondaryBus = 0x19
    static let subordinateBus = 0x1A
    static let portBase = 0x1C
    static let portLimit = 0x1D
    static let memoryBase = 0x20
    static let memoryLimit = 0x22
    static let prefetchableBase = 0x24
    static let prefetchableLimit = 0x26
    static let prefetchableBaseUpper = 0x28
    static let prefetchableLimitUpper = 0x2C
    static let bridgeControl = 0x3E
  }

  /// BRIDGE CONTROL: the secondary bus is held in reset.
  private static let secondaryBusReset: UInt16 = 1 << 6
  /// Parity, SERR# and master abort mode can be set too, and do nothing.
  private static let controlBits: UInt16 = secondaryBusReset | 1 << 5 | 3
  private static let windowBits: UInt16 = 0xFFF0
  private static let windowAlignment: UInt64 = 1 << 20

  /// Intel's 21154, which has nothing of its own that a driver would look for.
  private static let identity = PCIIdentity(vendor: 0x8086, device: 0xB154, classCode: 0x06_0400)

  private struct State: Sendable {
    var space: ConfigurationSpace
    var upstream = Upstream.host
    /// What the functions behind were told.
    var passed: Upstream
  }

  let bus: PCIRoot.Bus
  private let powerOn = Mutex(PCIBridge.emptySpace)
  private let state: Mutex<State>

  init(bus: PCIRoot.Bus) {
    self.bus = bus
    let passed = Self.passed(Self.emptySpace, .host)
    bus.setUpstream(passed)
    state = Mutex(State(space: Self.emptySpace, passed: passed))
  }

  private static var emptySpace: ConfigurationSpace {
    var space = ConfigurationSpace(header: identity)
    space.set8(ConfigurationSpace.Register.headerType, 1)
    for bus in [Register.primaryBus, Register.secondaryBus, Register.subordinateBus] {
      space.allow8(bus, 0xFF)
    }
    space.allow8(Register.portBase, 0xF0)
    space.allow8(Register.portLimit, 0xF0)
    space.allow16(Register.memoryBase, windowBits)
    space.allow16(Register.memoryLimit, windowBits)
    // Bit 0: these windows have 64 bits.
    for register in [Register.prefetchableBase, Register.prefetchableLimit] {
      space.allow16(register, windowBits)
      space.set16(register, 1)
    }
    space.allow32(Register.prefetchableBaseUpper, ~0)
    space.allow32(Register.prefetchableLimitUpper, ~0)
    space.allow16(Register.bridgeControl, controlBits)
    close(&space)
    return space
  }

  /// Makes all windows empty: their ends before their beginnings.
  private static func close(_ space: inout ConfigurationSpace) {
    space.set8(Register.portBase, 0xF0)
    space.set16(Register.memoryBase, windowBits)
    space.set16(Register.memoryLimit, 0)
    space.set16(Register.prefetchableBase, windowBits | 1)
    space.set16(Register.prefetchableLimit, 1)
  }

  private static func passed(_ space: ConfigurationSpace, _ upstream: Upstream) -> Upstream {
    func address(_ register: Int, upper: Int? = nil) -> UInt64 {
      let high = upper.map { UInt64(space.get32($0)) << 32 } ?? 0
      return high | UInt64(space.get16(register) & windowBits) << 16
    }
    let command = space.get16(ConfigurationSpace.Register.command)
    var windows: [ClosedRange<UInt64>] = []
    if command & ConfigurationSpace.Command.memorySpace != 0 {
      let low = (address(Register.memoryBase), address(Register.memoryLimit))
      let high = (
        address(Register.prefetchableBase, upper: Register.prefetchableBaseUpper),
        address(Register.prefetchableLimit, upper: Register.prefetchableLimitUpper)
      )
      windows = [low, high].filter { $0.0 <= $0.1 }.map { $0.0...($0.1 | (windowAlignment - 1)) }
    }
    return upstream.behind(
      windows: windows,
      passesMastering: command & ConfigurationSpace.Command.busMaster != 0)
  }

  /// The bus with that number, if it is behind this bridge and not held in reset.
  func bus(numbered number: UInt8) -> PCIRoot.Bus? {
    let (secondary, subordinate, isHeld) = state.withLock { state in
      (
        state.space.get8(Register.secondaryBus), state.space.get8(Register.subordinateBus),
        state.space.get16(Register.bridgeControl) & Self.secondaryBusReset != 0
      )
    }
    guard !isHeld, secondary != 0, number >= secondary, number <= subordinate else { return nil }
    return number == secondary ? bus : bus.bus(numbered: number)
  }

  /// Tells the functions behind what reaches them now.
  private func settle(_ state: inout State) -> Bool {
    let passed = Self.passed(state.space, state.upstream)
    guard passed != state.passed else { return false }
    state.passed = passed
    return bus.setUpstream(passed)
  }
}

extension PCIBridge: BusFunction {
  func read(_ offset: Int, _ width: AccessWidth) -> UInt32 {
    guard offset < 256 else { return 0 }
    return state.withLock { $0.space.read(offset, width) }
  }

  func write(_ value: UInt32, _ offset: Int, _ width: AccessWidth) -> ConfigurationEffect {
    guard offset < 256 else { return ConfigurationEffect() }
    var effect = ConfigurationEffect()
    let startsReset = state.withLock { state in
      let before = state.space.get16(Register.bridgeControl)
      state.space.write(value, offset, width)
      effect.freesPlaces = settle(&state)
      return ~before & state.space.get16(Register.bridgeControl) & Self.secondaryBusReset != 0
    }
    if startsReset {
      bus.reset()
      effect.freesPlaces = true
    }
    return effect
  }

  func retryPlaces() { bus.retryPlaces() }

  func setUpstream(_ upstream: Upstream) -> Bool {
    state.withLock {
      $0.upstream = upstream
      return settle(&$0)
    }
  }

  func setMultifunction() {
    func mark(_ space: inout ConfigurationSpace) {
      space.set8(
        ConfigurationSpace.Register.headerType, 1 | ConfigurationSpace.isMultifunction)
    }
    powerOn.withLock { mark(&$0) }
    state.withLock { mark(&$0.space) }
  }

  func reset() {
    let space = powerOn.withLock { $0 }
    _ = state.withLock {
      $0.space = space
      return settle(&$0)
    }
    bus.reset()
  }

  /// Numbers the bus behind and opens the window for what is there, as firmware does.
  func assignAddresses(_ plan: inout AddressPlan) {
    guard let (primary, secondary) = plan.enterBus() else { return }
    let start = plan.align(to: Self.windowAlignment)
    bus.assignAddresses(&plan)
    plan.leaveBus(to: primary)
    let end = plan.align(to: Self.windowAlignment)
    let highest = plan.highestBus
    _ = state.withLock { state in
      state.space.set8(Register.primaryBus, primary)
      state.space.set8(Register.secondaryBus, secondary)
      state.space.set8(Register.subordinateBus, highest)
      if start < end {
        state.space.set16(Register.memoryBase, UInt16(truncatingIfNeeded: start >> 16))
        state.space.set16(
          Register.memoryLimit, UInt16(truncatingIfNeeded: (end - 1) >> 16) & Self.windowBits)
      }
      let command = state.space.get16(ConfigurationSpace.Register.command)
      state.space.set16(
        ConfigurationSpace.Register.command,
        command | ConfigurationSpace.Command.memorySpace | ConfigurationSpace.Command.busMaster)
      return settle(&state)
    }
  }
}
