import ChipsetDevices
import DeviceModel
import GuestMemory
import MachineTypes
import MartletTesting
import PCIBus
import Synchronization
import VirtioDevices

/// A chipset and a PCI bus with one virtio device, on bus 0 or behind a bridge.
final class FuzzedBoard {
  static let memoryByteCount: UInt64 = 1 << 20
  static let slot: UInt8 = 3

  let memory: GuestRAM
  let chipset: Chipset
  let root: PCIRoot
  let clock = FakeClock()
  let inputs = Inputs()
  let completions = CompletionThread.shared
  private let isBehindBridge: Bool
  /// The device's side of the input gate; returns how much was taken.
  private(set) var deliver: (DeviceInput) -> Int = { _ in 1 }

  init(isBehindBridge: Bool) {
    self.isBehindBridge = isBehindBridge
    do {
      memory = try GuestRAM(byteCount: Self.memoryByteCount)
      chipset = try Chipset(
        Chipset.Configuration(
          memory: CMOSMemory(
            memoryBelow4GiB: Self.memoryByteCount, memoryAbove4GiB: 0, virtualCPUCount: 1),
          serialPorts: [.com1: RecordingSerialSink()], hasPCI: true),
        clock: clock, messageSink: RecordingMessageSink(), interruptRequestChanged: { _ in })
      root = PCIRoot(memory: chipset.memory)
      try root.attach(to: chipset.ports, sharingWith: chipset.resetControl)
    } catch {
      fatalError("no machine to fuzz: \(error)")
    }
  }

  func plug<Device: VirtioDevice>(_ device: Device) {
    let bus =
      isBehindBridge ? root.bus.bus(behind: PCIAddress(device: Self.slot)) : root.bus
    let connector = PCIConnector(
      messageCount: device.queueSizes.count + 1,
      line: chipset.interruptLine(bus.interrupt(of: PCIAddress(device: Self.slot))),
      sink: RecordingMessageSink())
    let function = AttachedDevice(
      VirtioPCI(device, memory: memory, connector: connector), clock: clock)
    deliver = { input in function.withDevice { $0.receive(input) } }
    bus.insert(
      PCIFunction(function, connector: connector, memory: chipset.memory),
      at: PCIAddress(device: Self.slot))
    root.assignAddresses()
  }

  /// Hands in what came from outside.
  func deliverInputs() {
    completions.waitUntilIdle()
    for input in inputs.takeAll() { _ = deliver(input) }
  }

  // MARK: Configuration space

  private var address: UInt32 {
    1 << 31 | (isBehindBridge ? 1 << 16 : 0) | UInt32(Self.slot) << 11
  }

  func readConfiguration(_ register: UInt8) -> UInt32 {
    _ = chipset.ports.write(address | UInt32(register & 0xFC), to: PortAddress(0xCF8), .doubleword)
    return chipset.ports.read(PortAddress(0xCFC), .doubleword)
  }

  func writeConfiguration(_ value: UInt32, _ register: UInt8) {
    _ = chipset.ports.write(address | UInt32(register & 0xFC), to: PortAddress(0xCF8), .doubleword)
    _ = chipset.ports.write(value, to: PortAddress(0xCFC), .doubleword)
  }

  // MARK: Registers

  /// Where the device's registers were when this was last asked.
  private var registers: UInt64 = 0

  func findRegisters() {
    registers = UInt64(readConfiguration(0x14)) << 32 | UInt64(readConfiguration(0x10) & ~0xF)
  }

  /// Where the table of messages is.
  var table: UInt64 { UInt64(readConfiguration(0x18) & ~0xF) }

  func write(_ value: UInt64, _ offset: UInt64, _ width: AccessWidth) {
    let place = GuestPhysicalAddress(rawValue: registers &+ offset)
    _ = chipset.memory.write(value, to: place, width)
  }

  func read(_ offset: UInt64, _ width: AccessWidth) -> UInt64 {
    chipset.memory.read(GuestPhysicalAddress(rawValue: registers &+ offset), width)
  }
}

/// What backends have finished and the machine has not heard of yet.
final class Inputs: Sendable {
  private let waiting = Mutex<[DeviceInput]>([])

  func add(_ input: DeviceInput) { waiting.withLock { $0.append(input) } }

  func takeAll() -> [DeviceInput] {
    waiting.withLock { all in
      defer { all = [] }
      return all
    }
  }
}
