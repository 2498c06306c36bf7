import ChipsetDevices
import DeviceModel
import FirmwareTables
import GuestMemory
import MachineTypes
import PCIBus
import VirtioDevices

/// Which slot each kind of device is in, so that a guest finds it there whatever else it has. 0…31 are on bus 0; from 32
/// on, 32 slots each lie behind the bridges in slot 31, which are there when something is behind them.
enum PCISlots {
  static let entropy: UInt8 = 1
  static let socket: UInt8 = 2
  static let console: UInt8 = 3
  static let balloon: UInt8 = 4
  static let networks = Array(UInt8(5)...8) + Array(192...223)
  static let shares = Array(UInt8(9)...12) + Array(224...255)
  static let disks = Array(UInt8(13)...30) + Array(32...191)
  static let bridges: UInt8 = 31
  static let slotCount: UInt8 = 32
}

/// Where virtio devices are that are not on the PCI bus: a page for each slot, below the I/O APIC.
enum MMIOLayout {
  static let first: UInt32 = 0xFEB0_0000
  static let byteCount: UInt32 = 0x1000

  static func address(ofSlot slot: UInt8) -> UInt32 { first + UInt32(slot) * byteCount }

  static func interrupt(ofSlot slot: UInt8) -> UInt8 { PCILayout.firstInterrupt + slot & 3 }

  /// What ACPI says of the device in a slot (LNRO0005 is what Linux's virtio_mmio looks for).
  static func description(ofSlot slot: UInt8) -> AMLObject {
    let digits = String(slot, radix: 16, uppercase: true)
    return .device(
      "VR" + (digits.count < 2 ? "0" : "") + digits,
      [
        .name("_HID", .string("LNRO0005")), .name("_UID", .integer(UInt64(slot))),
        .name("_CCA", .integer(1)),
        .name(
          "_CRS",
          .resources([
            .memory(first: address(ofSlot: slot), count: byteCount, isWritable: true),
            .sharedInterrupt(UInt32(interrupt(ofSlot: slot))),
          ])),
      ])
  }
}

/// Plugs virtio devices into the machine, behind the transport that it uses.
struct VirtioSlots {
  let root: PCIRoot
  let chipset: Chipset
  let memory: GuestRAM
  let clock: any MachineClock
  private let transport: VirtioTransport
  private let messages: any InterruptMessageSink
  private let wires: [SharedInterruptLine]

  init(
    root: PCIRoot, chipset: Chipset, memory: GuestRAM, transport: VirtioTransport,
    messages: any InterruptMessageSink, clock: any MachineClock
  ) {
    self.root = root
    self.chipset = chipset
    self.memory = memory
    self.transport = transport
    self.messages = messages
    self.clock = clock
    wires = (0..<4).map {
      SharedInterruptLine(chipset.interruptLine(PCILayout.firstInterrupt + $0))
    }
  }

  /// Returns what tells the device's state. From any thread.
  @discardableResult
  func insert<Device: VirtioDevice>(
    _ device: Device, at slot: UInt8
  ) throws(BusOverlapError) -> @Sendable () -> Device {
    switch transport {
    case .pci: insertFunction(device, at: slot)
    case .mmio: try insertRegisters(device, at: slot)
    }
  }

  private func insertFunction<Device: VirtioDevice>(
    _ device: Device, at slot: UInt8
  ) -> @Sendable () -> Device {
    let bus = bus(of: slot)
    let address = PCIAddress(device: slot % PCISlots.slotCount)
    let connector = PCIConnector(
      messageCount: device.queueSizes.count + 1, line: wire(bus.interrupt(of: address)),
      sink: messages)
    let function = AttachedDevice(
      VirtioPCI(device, memory: memory, connector: connector), clock: clock)
    chipset.receiveInput(of: Int(slot)) { input in function.withDevice { $0.receive(input) } }
    bus.insert(
      PCIFunction(function, connector: connector, memory: chipset.memory), at: address)
    return { function.withDevice { $0.device } }
  }

  private func bus(of slot: UInt8) -> PCIRoot.Bus {
    guard slot >= PCISlots.slotCount else { return root.bus }
    // Of several functions in a slot, the first must be there.
    _ = root.bus.bus(behind: PCIAddress(device: PCISlots.bridges))
    let number = slot / PCISlots.slotCount - 1
    return root.bus.bus(behind: PCIAddress(device: PCISlots.bridges, function: number))
  }

  private func insertRegisters<Device: VirtioDevice>(
    _ device: Device, at slot: UInt8
  ) throws(BusOverlapError) -> @Sendable () -> Device {
    let registers = AttachedDevice(
      VirtioMMIO(device, memory: memory, line: wire(MMIOLayout.interrupt(ofSlot: slot))),
      clock: clock)
    try chipset.memory.attach(
      registers, at: GuestPhysicalAddress(rawValue: UInt64(MMIOLayout.address(ofSlot: slot))),
      byteCount: UInt64(MMIOLayout.byteCount))
    chipset.receiveInput(of: Int(slot)) { input in registers.withDevice { $0.receive(input) } }
    return { registers.withDevice { $0.device } }
  }

  private func wire(_ interrupt: UInt8) -> any InterruptLine {
    wires[Int(interrupt - PCILayout.firstInterrupt)].makeInput()
  }

  /// The machine's input gate, for a device's backend.
  func inputs(of slot: UInt8) -> @Sendable (DeviceInput) -> Int {
    { [weak gate = chipset.inputGate] in gate?.submit(.device(Int(slot), $0)) ?? 0 }
  }
}

extension VirtualMachineConfiguration {
  /// The slots that have a virtio device.
  private var virtioSlots: [UInt8] {
    let single = [
      (PCISlots.entropy, hasEntropyDevice), (PCISlots.socket, !socketDevices.isEmpty),
      (PCISlots.console, !consoleDevices.isEmpty),
      (PCISlots.balloon, !memoryBalloonDevices.isEmpty),
    ]
    return single.filter(\.1).map(\.0) + PCISlots.networks.prefix(networkDevices.count)
      + PCISlots.shares.prefix(directorySharingDevices.count)
      + PCISlots.disks.prefix(storageDevices.count)
  }

  /// What ACPI says of virtio devices that are not on the PCI bus.
  var virtioDescriptions: [AMLObject] {
    virtioTransport == .mmio ? virtioSlots.map(MMIOLayout.description(ofSlot:)) : []
  }
}
