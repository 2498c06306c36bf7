import ChipsetDevices
import DeviceModel
import FirmwareTables
import GuestMemory
import PCIBus

/// The machine's PCI bus, and what is plugged into it.
final class PCIBoard: Sendable {
  let root: PCIRoot

  /// What the firmware tables say of it.
  static let description = PCIRootDescription(
    configurationSpace: PCILayout.configurationSpace..<PCILayout.configurationSpace
      + PCILayout.configurationSpaceByteCount,
    ports: PCILayout.portWindow,
    memory: UInt32(PCILayout.memoryWindow.lowerBound)...UInt32(PCILayout.memoryWindow.upperBound),
    firstInterrupt: PCILayout.firstInterrupt)

  init(_ chipset: Chipset, memory: GuestRAM, link: EngineLink) throws {
    root = PCIRoot(memory: chipset.memory)
    try root.attach(to: chipset.ports, sharingWith: chipset.resetControl)
    root.assignAddresses()
  }
}
