public import DeviceModel
import MachineTypes

/// PCI bus 0 with its host bridge, and what is behind it: configuration by ports (mechanism 1) and by memory (ECAM).
public final class PCIRoot: Sendable {
  public let bus = Bus()
  private let memory: MemoryBus

  /// The Q35's host bridge (Intel 82G33 data sheet); Linux knows no quirk of it that would matter here.
  private static let hostBridge = PCIIdentity(vendor: 0x8086, device: 0x29C0, classCode: 0x06_0000)

  /// - Parameter memory: where base address registers point into.
  public init(memory: MemoryBus) {
    self.memory = memory
    bus.add(PCIFunction(Self.hostBridge, memory: memory), at: PCIAddress(device: 0))
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

  /// Gives all functions addresses and all buses numbers, as firmware does before a guest starts.
  public func assignAddresses() {
    var plan = AddressPlan()
    bus.assignAddresses(&plan)
  }

  /// Back to power-on, with addresses assigned.
  public func reset() {
    bus.reset()
    assignAddresses()
  }

  // MARK: Accesses

  private func function(bus number: UInt8, _ function: UInt8) -> (any BusFunction)? {
    (number == 0 ? bus : bus.bus(numbered: number))?.function(function)
  }

  /// - Parameters:
  ///   - number: device and function.
  ///   - register: below 4096, aligned to `width`.
  func read(bus: UInt8, _ number: UInt8, _ register: Int, _ width: AccessWidth) -> UInt32 {
    let allOnes = UInt32(truncatingIfNeeded: width.allOnes)
    return function(bus: bus, number).map { $0.read(register, width) & allOnes } ?? allOnes
  }

  func write(
    _ value: UInt32, bus: UInt8, _ number: UInt8, _ register: Int, _ width: AccessWidth
  ) -> MachineRequest {
    guard let function = function(bus: bus, number) else { return .none }
    let effect = function.write(value, register, width)
    if effect.freesPlaces { self.bus.retryPlaces() }
    return effect.request
  }
}
