import ChipsetDevices
import DeviceModel
import MachineTypes
import MartletTesting

/// A chipset on a fake clock, driven through its buses as a guest would.
struct TestPC {
  let clock = FakeClock()
  let messages = RecordingMessageSink()
  let com1 = RecordingSerialSink()
  let console = RecordingSerialSink()
  let chipset: Chipset

  init() throws {
    chipset = try Chipset(
      Chipset.Configuration(
        memory: CMOSMemory(memoryBelow4GiB: 512 << 20), serialPorts: [.com1: com1],
        debugConsole: console),
      clock: clock, messageSink: messages, interruptRequestChanged: { _ in })
  }

  func inb(_ port: UInt16) -> UInt8 {
    UInt8(truncatingIfNeeded: chipset.ports.read(PortAddress(port), .byte))
  }
  func inw(_ port: UInt16) -> UInt16 {
    UInt16(truncatingIfNeeded: chipset.ports.read(PortAddress(port), .word))
  }
  func inl(_ port: UInt16) -> UInt32 { chipset.ports.read(PortAddress(port), .doubleword) }

  @discardableResult func outb(_ value: UInt8, _ port: UInt16) -> MachineRequest {
    chipset.ports.write(UInt32(value), to: PortAddress(port), .byte)
  }
  @discardableResult func outw(_ value: UInt16, _ port: UInt16) -> MachineRequest {
    chipset.ports.write(UInt32(value), to: PortAddress(port), .word)
  }
  @discardableResult func outl(_ value: UInt32, _ port: UInt16) -> MachineRequest {
    chipset.ports.write(value, to: PortAddress(port), .doubleword)
  }

  func readl(_ address: UInt64) -> UInt32 {
    UInt32(
      truncatingIfNeeded: chipset.memory.read(GuestPhysicalAddress(address), .doubleword))
  }
  func readq(_ address: UInt64) -> UInt64 {
    chipset.memory.read(GuestPhysicalAddress(address), .quadword)
  }
  func writel(_ value: UInt32, _ address: UInt64) {
    _ = chipset.memory.write(UInt64(value), to: GuestPhysicalAddress(address), .doubleword)
  }

  func writeIOAPIC(_ index: UInt32, _ value: UInt32) {
    writel(index, 0xFEC0_0000)
    writel(value, 0xFEC0_0010)
  }
  func readIOAPIC(_ index: UInt32) -> UInt32 {
    writel(index, 0xFEC0_0000)
    return readl(0xFEC0_0010)
  }

  func rtc(_ index: UInt8) -> UInt8 {
    outb(index, 0x70)
    return inb(0x71)
  }
  func setRTC(_ index: UInt8, _ value: UInt8) {
    outb(index, 0x70)
    outb(value, 0x71)
  }

  /// The initialization that Linux' `init_8259A` does, all inputs unmasked.
  func initializePICs(automaticEOI: Bool = false) {
    outb(0x11, 0x20)
    outb(0x30, 0x21)
    outb(0x04, 0x21)
    outb(automaticEOI ? 0x03 : 0x01, 0x21)
    outb(0x11, 0xA0)
    outb(0x38, 0xA1)
    outb(0x02, 0xA1)
    outb(0x01, 0xA1)
  }
}
