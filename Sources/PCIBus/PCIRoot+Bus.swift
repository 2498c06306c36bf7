import DeviceModel
import MachineTypes
import Synchronization

/// What a bus knows of a function or a bridge on it.
protocol BusFunction: AnyObject, Sendable {
  /// - Parameter offset: aligned to `width`, below 4096.
  func read(_ offset: Int, _ width: AccessWidth) -> UInt32
  func write(_ value: UInt32, _ offset: Int, _ width: AccessWidth) -> ConfigurationEffect
  /// Something left its place: what was kept from answering there may do so now.
  func retryPlaces()
  /// The bridges above pass other things than before. Returns whether something left its place.
  func setUpstream(_ upstream: Upstream) -> Bool
  /// The device has more functions than this one, its first.
  func setMultifunction()
  func reset()
  func assignAddresses(_ plan: inout AddressPlan)
}

/// What follows from a write to configuration space.
struct ConfigurationEffect {
  var request = MachineRequest.none
  /// Addresses became free.
  var freesPlaces = false
}

extension PCIRoot {
  /// One bus: 32 slots of up to eight functions.
  public final class Bus: Sendable {
    private struct State: Sendable {
      var functions: [UInt8: any BusFunction] = [:]
      var upstream = Upstream.host
    }

    private let state = Mutex(State())
    /// How far interrupt pins are rotated on their way to bus 0 (PCI-to-PCI Bridge Architecture 1.2 §9.1).
    private let rotation: UInt8

    init(rotation: UInt8 = 0) { self.rotation = rotation }

    /// The I/O APIC input that a function's interrupt pin leads to. Function n has pin n modulo 4.
    public func interrupt(of address: PCIAddress) -> UInt8 {
      PCILayout.firstInterrupt + (rotation + address.device + address.function) & 3
    }

    /// Plugs a function in. Numbers other than 0 need a function 0 beside them.
    public func insert(_ function: PCIFunction, at address: PCIAddress) {
      function.setInterrupt(pin: address.function & 3 + 1, line: interrupt(of: address))
      add(function, at: address)
    }

    /// The bus behind the bridge at `address`, which is made if it is not there.
    public func bus(behind address: PCIAddress) -> Bus {
      if let present = state.withLock({ $0.functions[address.number] }) {
        guard let bridge = present as? PCIBridge else {
          preconditionFailure("there is a function where a bridge should be")
        }
        return bridge.bus
      }
      let bus = Bus(rotation: (rotation + address.device) & 3)
      add(PCIBridge(bus: bus), at: address)
      return bus
    }

    func add(_ function: any BusFunction, at address: PCIAddress) {
      let (first, upstream) = state.withLock { state in
        precondition(state.functions[address.number] == nil, "two functions in one place")
        state.functions[address.number] = function
        return (state.functions[PCIAddress(device: address.device).number], state.upstream)
      }
      _ = function.setUpstream(upstream)
      if address.function != 0 { first?.setMultifunction() }
    }

    func function(_ number: UInt8) -> (any BusFunction)? {
      state.withLock { $0.functions[number] }
    }

    /// The bus with that number, behind a bridge of this one.
    func bus(numbered number: UInt8) -> Bus? {
      for case let bridge as PCIBridge in functions {
        if let bus = bridge.bus(numbered: number) { return bus }
      }
      return nil
    }

    /// In the order of their numbers.
    private var functions: [any BusFunction] {
      state.withLock { $0.functions.sorted { $0.key < $1.key }.map(\.value) }
    }

    /// Returns whether something left its place.
    @discardableResult func setUpstream(_ upstream: Upstream) -> Bool {
      state.withLock { $0.upstream = upstream }
      return functions.reduce(false) { $1.setUpstream(upstream) || $0 }
    }

    func retryPlaces() { for function in functions { function.retryPlaces() } }
    func reset() { for function in functions { function.reset() } }

    func assignAddresses(_ plan: inout AddressPlan) {
      for function in functions { function.assignAddresses(&plan) }
    }
  }
}
