import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@testable import PCIBus

@Suite struct PCITests {
  private let pci: PCIFixture

  init() throws { pci = try PCIFixture() }

  @Test func `both mechanisms show the same function`() {
    #expect(pci.read(0) == 0x5678_1234)
    #expect(pci.read(2, .word) == 0x5678)
    #expect(pci.memory32(PCILayout.configurationSpace + 3 << 15) == 0x5678_1234)
    #expect(pci.memory32(PCILayout.configurationSpace + 4 << 15) == 0xFFFF_FFFF)
    #expect(pci.memory32(PCILayout.configurationSpace) == 0x29C0_8086)
    #expect(pci.memory32(PCILayout.configurationSpace + 3 << 15 + 0x100) == 0)
  }

  @Test func `the reset register's port stays its own`() {
    #expect(pci.ports.write(6, to: PortAddress(0xCF9), .byte) == .reset)
    #expect(pci.ports.read(PortAddress(0xCF9), .byte) == 6)
  }

  @Test func `a base address tells its size and moves the device`() {
    let first = UInt64(pci.read(0x10) & ~0xF)
    _ = pci.memory.write(77, to: GuestPhysicalAddress(first), .doubleword)
    #expect(pci.memory32(first) == 77)
    pci.write(0, 0x04, .word)
    #expect(pci.memory32(first) == 0xFFFF_FFFF)
    pci.write(0xFFFF_FFFF, 0x10)
    #expect(pci.read(0x10) == 0xFFFF_FF04)
    pci.write(0xD000_0000, 0x10)
    pci.write(2, 0x04, .word)
    #expect(pci.memory32(0xD000_0000) == 77)
    #expect(pci.memory32(first) == 0xFFFF_FFFF)
    pci.root.reset()
    #expect(UInt64(pci.read(0x10) & ~0xF) == first)
    #expect(pci.memory32(first) == 0)
  }

  @Test func `a base address on top of another device answers nowhere`() {
    pci.write(UInt32(PCILayout.configurationSpace), 0x10)
    #expect(pci.memory32(PCILayout.configurationSpace) == 0x29C0_8086)
    pci.write(0xD000_0000, 0x10)
    #expect(pci.memory32(0xD000_0000) == 0)
  }

  @Test func `messages wait while they are masked`() throws {
    let capability = pci.capability(0x11)
    #expect(pci.read(capability + 2, .word) == 2)
    let table = UInt64(pci.read(0x18))
    _ = pci.memory.write(0xFEE0_0000, to: GuestPhysicalAddress(table + 16), .doubleword)
    _ = pci.memory.write(0x41, to: GuestPhysicalAddress(table + 24), .doubleword)
    pci.connector.signal(1)
    #expect(pci.sink.messages.isEmpty)
    pci.write(1 << 15, capability + 2, .word)
    pci.connector.signal(1)
    #expect(pci.sink.messages.isEmpty)
    #expect(pci.memory32(table + 0x800) == 2)
    _ = pci.memory.write(0, to: GuestPhysicalAddress(table + 28), .doubleword)
    #expect(pci.sink.messages == [InterruptMessage(address: 0xFEE0_0000, data: 0x41)])
    #expect(pci.memory32(table + 0x800) == 0)
    // The function's mask holds all back.
    pci.write(3 << 14, capability + 2, .word)
    pci.connector.signal(1)
    #expect(pci.sink.messages.count == 1)
    pci.write(1 << 15, capability + 2, .word)
    #expect(pci.sink.messages.count == 2)
    pci.connector.signal(900)
  }

  @Test func `the wire is dead while messages are on, and can be cut`() {
    pci.connector.setLine(true)
    #expect(pci.line.isAsserted)
    #expect(pci.read(0x06, .word) & 1 << 3 != 0)
    pci.write(1 << 10 | 2, 0x04, .word)
    #expect(!pci.line.isAsserted)
    pci.write(2, 0x04, .word)
    #expect(pci.line.isAsserted)
    let capability = pci.capability(0x11)
    pci.write(1 << 15, capability + 2, .word)
    #expect(!pci.line.isAsserted)
  }

  @Test func `a base address of 64 bits moves the device above 4 GiB`() {
    pci.write(0xFFFF_FFFF, 0x10)
    pci.write(0xFFFF_FFFF, 0x14)
    #expect(pci.read(0x10) == 0xFFFF_FF04)
    #expect(pci.read(0x14) == 0xFFFF_FFFF)
    pci.write(0x4000_0000, 0x10)
    pci.write(0x12, 0x14)
    pci.poke(9, 0x12_4000_0004)
    #expect(pci.memory32(0x12_4000_0004) == 9)
    #expect(pci.memory32(0x4000_0004) == 0xFFFF_FFFF)
  }

  @Test func `a device that was in another's way lets it answer when it goes`() {
    pci.insert(on: pci.root.bus, at: PCIAddress(device: 4))
    let other = PCIFixture.Function(device: 4)
    pci.write(0xD000_0000, 0x10)
    pci.write(0xD000_0000, to: other, 0x10)
    pci.write(2, to: other, 4, .word)
    pci.poke(3, 0xD000_0000)
    pci.write(0xD100_0000, 0x10)
    #expect(pci.memory32(0xD100_0000) == 3)
    #expect(pci.memory32(0xD000_0000) == 0)
  }

  @Test func `plain messages take the wire's place, and wait while they are masked`() {
    let message = pci.capability(0x05)
    pci.write(0xFEE0_1000, message + 4)
    pci.write(0x55, message + 12, .word)
    pci.write(1, message + 16)
    pci.write(1, message + 2, .word)
    #expect(pci.read(message + 2, .word) == 0x181)
    pci.connector.setLine(true)
    #expect(!pci.line.isAsserted)
    #expect(pci.sink.messages.isEmpty)
    #expect(pci.read(message + 20) == 1)
    pci.write(0, message + 16)
    let expected = InterruptMessage(address: 0xFEE0_1000, data: 0x55)
    #expect(pci.sink.messages == [expected])
    #expect(pci.read(message + 20) == 0)
    // One message for each rise.
    pci.connector.setLine(true)
    #expect(pci.sink.messages.count == 1)
    pci.connector.setLine(false)
    pci.connector.setLine(true)
    #expect(pci.sink.messages == [expected, expected])
    // Off again, the wire has the level.
    pci.write(0, message + 2, .word)
    #expect(pci.line.isAsserted)
  }

  @Test func `a function resets alone`() {
    let first = UInt64(pci.read(0x10) & ~0xF)
    pci.poke(5, first)
    pci.connector.setLine(true)
    let feature = pci.capability(0x13)
    #expect(pci.read(feature + 2, .word) == 0x0306)
    pci.write(1, feature + 4, .byte)
    #expect(pci.read(feature + 4, .word) == 0)
    #expect(pci.read(0x10) == 4)
    #expect(pci.read(4, .word) == 0)
    #expect(!pci.line.isAsserted)
    #expect(pci.read(0x3C, .byte) == 19)
    pci.write(UInt32(first), 0x10)
    pci.write(2, 4, .word)
    #expect(pci.memory32(first) == 0)
  }

  @Test func `functions of one device share its slot and rotate their pins`() {
    let address = PCIAddress(device: 3, function: 1)
    #expect(pci.read(0x0E, .byte) == 0)
    pci.insert(on: pci.root.bus, at: address)
    #expect(pci.read(0x0E, .byte) == 0x80)
    #expect(pci.read(PCIFixture.Function(device: 3, function: 1), 0x3D, .byte) == 2)
    #expect(pci.root.bus.interrupt(of: address) == 16)
    pci.root.reset()
    #expect(pci.read(0x0E, .byte) == 0x80)
  }
}
