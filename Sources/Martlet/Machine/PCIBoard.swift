import ChipsetDevices
import DeviceModel
import FileSharing
import FirmwareTables
import FoundationEssentials
import GuestMemory
import HostSystem
import Logging
import MachineTypes
import Networks
import PCIBus
import Synchronization
import VirtioDevices

/// The machine's PCI bus, and what is plugged into it.
final class PCIBoard: Sendable {
  private let logger = Logger(label: "martlet")
  private let root: PCIRoot
  private let backends: Mutex<Backends>

  private struct Backends: Sendable {
    var disks: [any BlockBackend] = []
    /// In the disks' order.
    var storage: [StorageLink] = []
    var networks: [any NetworkBackend] = []
    var folders: [SharedFolder] = []
    /// What starts to receive when the machine runs.
    var connections: [@Sendable () throws -> Void] = []
  }

  /// What the firmware tables say of it.
  static let description = PCIRootDescription(
    configurationSpace: PCILayout.configurationSpace..<PCILayout.configurationSpace
      + PCILayout.configurationSpaceByteCount,
    ports: PCILayout.portWindow,
    memory: UInt32(PCILayout.memoryWindow.lowerBound)...UInt32(PCILayout.memoryWindow.upperBound),
    firstInterrupt: PCILayout.firstInterrupt)

  init(
    _ configuration: VirtualMachineConfiguration, _ chipset: Chipset, memory: GuestRAM,
    messages: any InterruptMessageSink, entropy: any EntropySource, clock: any MachineClock
  ) throws {
    root = PCIRoot(memory: chipset.memory)
    try root.attach(to: chipset.ports, sharingWith: chipset.resetControl)
    backends = Mutex(Backends())
    let slots = Slots(
      root: root, chipset: chipset, memory: memory, messages: messages, clock: clock)
    if configuration.hasEntropyDevice {
      slots.insert(EntropyDevice(source: entropy), at: PCISlots.entropy)
    }
    do {
      try insertNetworks(configuration, slots, entropy)
      try insertShares(configuration, slots)
      try insertDisks(configuration, slots)
    } catch {
      close()
      throw error
    }
    root.assignAddresses()
  }

  private func insertDisks(
    _ configuration: VirtualMachineConfiguration, _ slots: Slots
  ) throws {
    for (number, disk) in configuration.storageDevices.enumerated() {
      let slot = PCISlots.firstDisk + UInt8(number)
      let backend = try disk.openLimited(clock: slots.clock) { [logger] event in
        logger.warning("\(event)")
      }
      let gate = slots.inputs(of: slot)
      backends.withLock {
        $0.disks.append(backend)
        $0.storage.append(StorageLink(backend) { _ = gate($0) })
      }
      slots.insert(
        BlockDevice(
          backend, serialNumber: disk.serialNumber ?? "martlet-disk-\(number)",
          queueCount: configuration.cpuCount
        ) { _ = gate($0) }, at: slot)
    }
  }

  private func insertNetworks(
    _ configuration: VirtualMachineConfiguration, _ slots: Slots, _ entropy: any EntropySource
  ) throws {
    for (number, network) in configuration.networkDevices.enumerated() {
      let slot = PCISlots.firstNetwork + UInt8(number)
      let backend = try network.openLimited(clock: slots.clock)
      backends.withLock { $0.networks.append(backend) }
      let device = NetworkDevice(
        backend, address: network.address(number: number, entropy),
        pairCount: min(configuration.cpuCount, 8))
      slots.insert(device, at: slot)
      let gate = slots.inputs(of: slot)
      backends.withLock { $0.connections.append { try device.connect(submit: gate) } }
    }
  }

  private func insertShares(
    _ configuration: VirtualMachineConfiguration, _ slots: Slots
  ) throws {
    for (number, share) in configuration.directorySharingDevices.enumerated() {
      let slot = PCISlots.firstShare + UInt8(number)
      let folder = try share.open()
      backends.withLock { $0.folders.append(folder) }
      let gate = slots.inputs(of: slot)
      slots.insert(FileSharingDevice(folder, tag: share.tag) { _ = gate($0) }, at: slot)
    }
  }

  /// A disk, for its machine; `nil` when it has been given back.
  func storage(_ number: Int) -> StorageLink? {
    backends.withLock { $0.storage.indices.contains(number) ? $0.storage[number] : nil }
  }

  /// What comes from outside starts to flow.
  func connect() throws {
    for connection in backends.withLock({ $0.connections }) { try connection() }
  }

  /// Makes what the guest wrote durable, and gives images and networks back.
  func close() {
    let backends = backends.withLock { backends in
      defer { backends = Backends() }
      return backends
    }
    for network in backends.networks { network.disconnect() }
    for folder in backends.folders { folder.close() }
    for disk in backends.disks {
      do throws(BlockError) {
        try disk.close()
      } catch {
        logger.error("a disk image could not be made durable: \(error)")
      }
    }
  }
}

/// Which slot of the bus each kind of device is in, so that a guest finds it there whatever else it has.
enum PCISlots {
  static let entropy: UInt8 = 1
  static let firstNetwork: UInt8 = 5
  static let firstShare: UInt8 = 9
  static let firstDisk: UInt8 = 13
  static let end: UInt8 = 32
}

/// Plugs virtio devices into the bus.
private struct Slots {
  let root: PCIRoot
  let chipset: Chipset
  let memory: GuestRAM
  let clock: any MachineClock
  private let messages: any InterruptMessageSink
  private let wires: [SharedInterruptLine]

  init(
    root: PCIRoot, chipset: Chipset, memory: GuestRAM, messages: any InterruptMessageSink,
    clock: any MachineClock
  ) {
    self.root = root
    self.clock = clock
    self.chipset = chipset
    self.memory = memory
    self.messages = messages
    wires = (0..<4).map {
      SharedInterruptLine(chipset.interruptLine(PCILayout.firstInterrupt + $0))
    }
  }

  func insert<Device: VirtioDevice>(_ device: Device, at slot: UInt8) {
    let wire = wires[Int(PCILayout.interrupt(ofDevice: slot) - PCILayout.firstInterrupt)]
    let connector = PCIConnector(
      messageCount: device.queueSizes.count + 1, line: wire.makeInput(), sink: messages)
    let function = AttachedDevice(VirtioPCI(device, memory: memory, connector: connector))
    chipset.receiveInput(of: Int(slot)) { input in function.withDevice { $0.receive(input) } }
    root.insert(
      PCIFunction(function, connector: connector, memory: chipset.memory),
      at: PCIAddress(device: slot))
  }

  /// The machine's input gate, for a device's backend.
  func inputs(of slot: UInt8) -> @Sendable (DeviceInput) -> Int {
    { [weak gate = chipset.inputGate] in gate?.submit(.device(Int(slot), $0)) ?? 0 }
  }
}
