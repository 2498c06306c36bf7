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
  let memoryBalloon: MemoryBalloon?

  private struct Backends: Sendable {
    var disks: [any BlockBackend] = []
    /// In the disks' order.
    var storage: [StorageLink] = []
    var networks: [any NetworkBackend] = []
    var folders: [SharedFolder] = []
    var sockets: [any SocketBackend] = []
    var consoleLines: [SerialLine] = []
    /// What starts to receive when the machine runs.
    var connections: [@Sendable () throws -> Void] = []
  }

  /// What the firmware tables say of it.
  ///
  /// - Parameter addressBits: of the processor's physical addresses.
  static func description(memory: GuestRAM, addressBits: UInt8) -> PCIRootDescription {
    let window = PCILayout.memoryWindow
    return PCIRootDescription(
      configurationSpace: PCILayout.configurationSpace..<PCILayout.configurationSpace
        + PCILayout.configurationSpaceByteCount,
      ports: PCILayout.portWindow,
      memory: UInt32(window.lowerBound)...UInt32(window.upperBound),
      highMemory: PCILayout.highMemoryWindow(
        above: memory.regions.map(\.end).max() ?? 0, addressBits: addressBits),
      firstInterrupt: PCILayout.firstInterrupt)
  }

  init(
    _ configuration: VirtualMachineConfiguration, _ chipset: Chipset, memory: GuestRAM,
    messages: any InterruptMessageSink, entropy: any EntropySource, clock: any MachineClock
  ) throws {
    root = PCIRoot(memory: chipset.memory)
    try root.attach(to: chipset.ports, sharingWith: chipset.resetControl)
    backends = Mutex(Backends())
    let slots = VirtioSlots(
      root: root, chipset: chipset, memory: memory, transport: configuration.virtioTransport,
      messages: messages, clock: clock)
    memoryBalloon = try Self.insertBalloon(configuration, slots)
    if configuration.hasEntropyDevice {
      try slots.insert(EntropyDevice(source: entropy), at: PCISlots.entropy)
    }
    do {
      try insertNetworks(configuration, slots, entropy)
      try insertShares(configuration, slots)
      try insertConsoles(configuration, slots)
      try insertSockets(configuration, slots)
      try insertDisks(configuration, slots)
    } catch {
      close()
      throw error
    }
    root.assignAddresses()
  }

  private func insertDisks(
    _ configuration: VirtualMachineConfiguration, _ slots: VirtioSlots
  ) throws {
    for (number, disk) in configuration.storageDevices.enumerated() {
      let slot = PCISlots.disks[number]
      let backend = try disk.openLimited(clock: slots.clock) { [logger] event in
        logger.warning("\(event)")
      }
      let gate = slots.inputs(of: slot)
      backends.withLock {
        $0.disks.append(backend)
        $0.storage.append(StorageLink(backend) { _ = gate($0) })
      }
      try slots.insert(
        BlockDevice(
          backend, serialNumber: disk.serialNumber ?? "martlet-disk-\(number)",
          queueCount: configuration.cpuCount
        ) { _ = gate($0) }, at: slot)
    }
  }

  private func insertNetworks(
    _ configuration: VirtualMachineConfiguration, _ slots: VirtioSlots, _ entropy: any EntropySource
  ) throws {
    for (number, network) in configuration.networkDevices.enumerated() {
      let slot = PCISlots.networks[number]
      let backend = try network.openLimited(clock: slots.clock)
      backends.withLock { $0.networks.append(backend) }
      let device = NetworkDevice(
        backend, address: network.address(number: number, entropy),
        pairCount: min(configuration.cpuCount, 8))
      try slots.insert(device, at: slot)
      let gate = slots.inputs(of: slot)
      backends.withLock { $0.connections.append { try device.connect(submit: gate) } }
    }
  }

  private func insertShares(
    _ configuration: VirtualMachineConfiguration, _ slots: VirtioSlots
  ) throws {
    for (number, share) in configuration.directorySharingDevices.enumerated() {
      let slot = PCISlots.shares[number]
      let folder = try share.open()
      backends.withLock { $0.folders.append(folder) }
      let gate = slots.inputs(of: slot)
      try slots.insert(FileSharingDevice(folder, tag: share.tag) { _ = gate($0) }, at: slot)
    }
  }

  private static func insertBalloon(
    _ configuration: VirtualMachineConfiguration, _ slots: VirtioSlots
  ) throws -> MemoryBalloon? {
    guard let balloon = configuration.memoryBalloonDevices.first else { return nil }
    let options = BalloonDevice.Options(balloon, memorySize: configuration.memorySize)
    let device = try slots.insert(
      BalloonDevice(options, clock: slots.clock), at: PCISlots.balloon)
    let gate = slots.inputs(of: PCISlots.balloon)
    return MemoryBalloon(
      setTarget: { _ = gate(.balloonTarget(pageCount: $0)) },
      statistics: { MemoryStatistics(device()) })
  }

  private func insertConsoles(
    _ configuration: VirtualMachineConfiguration, _ slots: VirtioSlots
  ) throws {
    for console in configuration.consoleDevices {
      let gate = slots.inputs(of: PCISlots.console)
      let lines = console.ports.map { $0.attachment.map(SerialLine.init) }
      let ports = zip(console.ports, lines).map { port, line in
        ConsolePort(
          name: port.name, isConsole: port.name == nil,
          sink: line.map(SerialLineSink.init) ?? NullConsoleSink())
      }
      try slots.insert(ConsoleDevice(ports: ports), at: PCISlots.console)
      for case (let number, (let port, let line?)) in zip(console.ports, lines).enumerated() {
        let number = UInt32(number)
        backends.withLock { backends in
          backends.consoleLines.append(line)
          backends.connections.append {
            port.attachment?.observeSize { size in
              _ = gate(.consoleSize(port: number, columns: size.columns, rows: size.rows))
            }
            port.attachment?.observeConnection { isConnected in
              _ = gate(.consoleConnection(port: number, isConnected: isConnected))
            }
            try line.open(
              submit: { gate(.console(port: number, bytes: $0)) },
              resumeOutput: { _ = gate(.consoleRoom(port: number)) })
          }
        }
      }
    }
  }

  private func insertSockets(
    _ configuration: VirtualMachineConfiguration, _ slots: VirtioSlots
  ) throws {
    for socket in configuration.socketDevices {
      let backend = try socket.open()
      let device = SocketDevice(backend, guestCID: socket.guestCID)
      try slots.insert(device, at: PCISlots.socket)
      let gate = slots.inputs(of: PCISlots.socket)
      backends.withLock {
        $0.sockets.append(backend)
        $0.connections.append { try device.connect(submit: gate) }
      }
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
    for line in backends.consoleLines { line.close() }
    for socket in backends.sockets { socket.disconnect() }
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
