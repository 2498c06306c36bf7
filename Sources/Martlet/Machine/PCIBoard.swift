import ChipsetDevices
import DeviceModel
import DiskImages
import FirmwareTables
import FoundationEssentials
import GuestMemory
import HostSystem
import Logging
import MachineTypes
import PCIBus
import Synchronization
import VirtioDevices

/// The machine's PCI bus, and what is plugged into it: the entropy device in slot 1, disks from slot 2 on.
final class PCIBoard: Sendable {
  private let logger = Logger(label: "martlet")
  private let root: PCIRoot
  private let disks: Mutex<[any BlockBackend]>

  /// What the firmware tables say of it.
  static let description = PCIRootDescription(
    configurationSpace: PCILayout.configurationSpace..<PCILayout.configurationSpace
      + PCILayout.configurationSpaceByteCount,
    ports: PCILayout.portWindow,
    memory: UInt32(PCILayout.memoryWindow.lowerBound)...UInt32(PCILayout.memoryWindow.upperBound),
    firstInterrupt: PCILayout.firstInterrupt)

  private static let entropySlot: UInt8 = 1
  private static let firstDiskSlot: UInt8 = 2

  init(
    _ configuration: VirtualMachineConfiguration, _ chipset: Chipset, memory: GuestRAM,
    messages: any InterruptMessageSink, entropy: any EntropySource
  ) throws {
    let backends = try configuration.storageDevices.map { try Self.open($0) }
    disks = Mutex(backends)
    root = PCIRoot(memory: chipset.memory)
    try root.attach(to: chipset.ports, sharingWith: chipset.resetControl)
    let wires = (0..<4).map {
      SharedInterruptLine(chipset.interruptLine(PCILayout.firstInterrupt + $0))
    }
    func insert<Device: VirtioDevice>(_ device: Device, slot: UInt8) {
      let connector = PCIConnector(
        messageCount: device.queueSizes.count + 1,
        line: wires[Int(PCILayout.interrupt(ofDevice: slot) - PCILayout.firstInterrupt)]
          .makeInput(), sink: messages)
      let function = AttachedDevice(
        VirtioPCI(device, memory: memory, connector: connector))
      chipset.receiveInput(of: Int(slot)) { input in
        function.withDevice { $0.receive(input) }
      }
      root.insert(
        PCIFunction(function, connector: connector, memory: chipset.memory),
        at: PCIAddress(device: slot))
    }
    if configuration.hasEntropyDevice {
      insert(EntropyDevice(source: entropy), slot: Self.entropySlot)
    }
    for (number, disk) in zip(configuration.storageDevices, backends).enumerated() {
      let slot = Self.firstDiskSlot + UInt8(number)
      let device = BlockDevice(
        disk.1, serialNumber: disk.0.serialNumber ?? "martlet-disk-\(number)",
        queueCount: configuration.cpuCount
      ) { [weak gate = chipset.inputGate] input in
        _ = gate?.submit(.device(Int(slot), input))
      }
      insert(device, slot: slot)
    }
    root.assignAddresses()
  }

  /// Makes what the guest wrote durable, and gives the images back.
  func close() {
    for disk in disks.withLock({ $0 }) {
      do throws(BlockError) {
        try disk.close()
      } catch {
        logger.error("a disk image could not be made durable: \(error)")
      }
    }
  }

  private static func open(
    _ disk: VirtioBlockDeviceConfiguration
  ) throws(ConfigurationError) -> any BlockBackend {
    let path = disk.imageURL.path
    var format: String?
    do throws(HostError) {
      let image = try RawImage(path: path, isReadOnly: disk.isReadOnly || disk.isSnapshot)
      format = try image.foreignFormat()
      if format == nil {
        guard disk.isSnapshot, !disk.isReadOnly else { return image }
        return try TemporaryOverlay(
          path: path, temporaryDirectory: FileManager.default.temporaryDirectory.path)
      }
    } catch {
      if error.isLocked { throw .diskImageInUse(path: path) }
      throw .unreadableFile(what: "disk image", path: path, reason: "\(error)")
    }
    throw .unsupportedDiskImage(path: path, format: format ?? "foreign")
  }
}
