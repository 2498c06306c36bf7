import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@testable import PCIBus

/// Four registers of four bytes.
private struct Registers: PCIDevice {
  var values = [UInt32](repeating: 0, count: 4)

  var identity: PCIIdentity { PCIIdentity(vendor: 0x1234, device: 0x5678, classCode: 0xFF_0000) }
  var registerByteCount: UInt32 { 0x100 }
  var vendorCapabilities: [PCIVendorCapability] { [PCIVendorCapability(body: [4, 1])] }

  mutating func read(from offset: UInt64, width: AccessWidth) throws(BusError) -> UInt64 {
    guard width == .doubleword, offset < 16 else { throw .noSuchRegister }
    return UInt64(values[Int(offset / 4)])
  }

  mutating func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .doubleword, offset < 16 else { throw .noSuchRegister }
    values[Int(offset / 4)] = UInt32(truncatingIfNeeded: value)
    return .none
  }

  mutating func reset() { values = [0, 0, 0, 0] }
}

private struct Neighbour: PortIODevice {
  var value: UInt32 = 0
  mutating func read(from offset: UInt16, width: AccessWidth) throws(BusError) -> UInt32 { value }
  mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    self.value = value
    return .reset
  }
  mutating func reset() { value = 0 }
}

@Suite struct PCITests {
  private let memory = MemoryBus()
  private let ports = PortBus()
  private let sink = RecordingMessageSink()
  private let line = RecordingLine()
  private let connector: PCIConnector
  private let root: PCIRoot

  init() throws {
    connector = PCIConnector(messageCount: 3, line: line, sink: sink)
    root = PCIRoot(memory: memory)
    try root.attach(to: ports, sharingWith: AttachedDevice(Neighbour()))
    root.insert(
      PCIFunction(AttachedDevice(Registers()), connector: connector, memory: memory),
      at: PCIAddress(device: 3))
    root.assignAddresses()
  }

  private func read(_ register: UInt32, _ width: AccessWidth = .doubleword) -> UInt32 {
    _ = ports.write(1 << 31 | 3 << 11 | register & ~3, to: PortAddress(0xCF8), .doubleword)
    return ports.read(PortAddress(0xCFC + UInt16(register & 3)), width)
  }

  private func write(_ value: UInt32, _ register: UInt32, _ width: AccessWidth = .doubleword) {
    _ = ports.write(1 << 31 | 3 << 11 | register & ~3, to: PortAddress(0xCF8), .doubleword)
    _ = ports.write(value, to: PortAddress(0xCFC + UInt16(register & 3)), width)
  }

  private func memory32(_ address: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: memory.read(GuestPhysicalAddress(address), .doubleword))
  }

  @Test func `both mechanisms show the same function`() {
    #expect(read(0) == 0x5678_1234)
    #expect(read(2, .word) == 0x5678)
    #expect(memory32(PCILayout.configurationSpace + 3 << 15) == 0x5678_1234)
    #expect(memory32(PCILayout.configurationSpace + 4 << 15) == 0xFFFF_FFFF)
    #expect(memory32(PCILayout.configurationSpace) == 0x29C0_8086)
    #expect(memory32(PCILayout.configurationSpace + 3 << 15 + 0x100) == 0)
  }

  @Test func `the reset register's port stays its own`() {
    #expect(ports.write(6, to: PortAddress(0xCF9), .byte) == .reset)
    #expect(ports.read(PortAddress(0xCF9), .byte) == 6)
  }

  @Test func `a base address tells its size and moves the device`() {
    let first = UInt64(read(0x10))
    _ = memory.write(77, to: GuestPhysicalAddress(first), .doubleword)
    #expect(memory32(first) == 77)
    write(0, 0x04, .word)
    #expect(memory32(first) == 0xFFFF_FFFF)
    write(0xFFFF_FFFF, 0x10)
    #expect(read(0x10) == 0xFFFF_FF00)
    write(0xD000_0000, 0x10)
    write(2, 0x04, .word)
    #expect(memory32(0xD000_0000) == 77)
    #expect(memory32(first) == 0xFFFF_FFFF)
    root.reset()
    #expect(UInt64(read(0x10)) == first)
    #expect(memory32(first) == 0)
  }

  @Test func `a base address on top of another device answers nowhere`() {
    write(UInt32(PCILayout.configurationSpace), 0x10)
    #expect(memory32(PCILayout.configurationSpace) == 0x29C0_8086)
    write(0xD000_0000, 0x10)
    #expect(memory32(0xD000_0000) == 0)
  }

  @Test func `messages wait while they are masked`() throws {
    var capability = read(0x34, .byte)
    while read(capability, .byte) != 0x11 { capability = read(capability + 1, .byte) }
    #expect(read(capability + 2, .word) == 2)
    let table = UInt64(read(0x14))
    _ = memory.write(0xFEE0_0000, to: GuestPhysicalAddress(table + 16), .doubleword)
    _ = memory.write(0x41, to: GuestPhysicalAddress(table + 24), .doubleword)
    connector.signal(1)
    #expect(sink.messages.isEmpty)
    write(1 << 15, capability + 2, .word)
    connector.signal(1)
    #expect(sink.messages.isEmpty)
    #expect(memory32(table + 0x800) == 2)
    _ = memory.write(0, to: GuestPhysicalAddress(table + 28), .doubleword)
    #expect(sink.messages == [InterruptMessage(address: 0xFEE0_0000, data: 0x41)])
    #expect(memory32(table + 0x800) == 0)
    // The function's mask holds all back.
    write(3 << 14, capability + 2, .word)
    connector.signal(1)
    #expect(sink.messages.count == 1)
    write(1 << 15, capability + 2, .word)
    #expect(sink.messages.count == 2)
    connector.signal(900)
  }

  @Test func `the wire is dead while messages are on, and can be cut`() {
    connector.setLine(true)
    #expect(line.isAsserted)
    #expect(read(0x06, .word) & 1 << 3 != 0)
    write(1 << 10 | 2, 0x04, .word)
    #expect(!line.isAsserted)
    write(2, 0x04, .word)
    #expect(line.isAsserted)
    var capability = read(0x34, .byte)
    while read(capability, .byte) != 0x11 { capability = read(capability + 1, .byte) }
    write(1 << 15, capability + 2, .word)
    #expect(!line.isAsserted)
  }
}
