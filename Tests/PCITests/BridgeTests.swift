import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@testable import PCIBus

/// A bridge in slot 31 with a device in its slot 5, and a bridge in its slot 6 with a device in slot 7 behind it.
@Suite struct BridgeTests {
  private let pci: PCIFixture
  private let near: PCIConnector
  private let far: PCIConnector
  private let bridge = PCIFixture.Function(device: 31)
  private let nearDevice = PCIFixture.Function(bus: 1, device: 5)
  private let innerBridge = PCIFixture.Function(bus: 1, device: 6)
  private let farDevice = PCIFixture.Function(bus: 2, device: 7)

  init() throws {
    pci = try PCIFixture()
    let bus = pci.root.bus.bus(behind: PCIAddress(device: 31))
    near = pci.insert(on: bus, at: PCIAddress(device: 5))
    let inner = bus.bus(behind: PCIAddress(device: 6))
    far = pci.insert(on: inner, at: PCIAddress(device: 7))
    pci.root.reset()
  }

  private func address(of function: PCIFixture.Function) -> UInt64 {
    UInt64(pci.read(function, 0x10) & ~0xF)
  }

  @Test func `firmware numbers buses and opens windows`() {
    #expect(pci.read(bridge, 0x0A, .word) == 0x0604)
    #expect(pci.read(bridge, 0x0E, .byte) == 1)
    #expect(pci.read(bridge, 0x18) & 0xFF_FFFF == 0x02_01_00)
    #expect(pci.read(innerBridge, 0x18) & 0xFF_FFFF == 0x02_02_01)
    #expect(pci.read(nearDevice, 0) == 0x5678_1234)
    #expect(pci.memory32(PCILayout.configurationSpace + 2 << 20 + 7 << 15) == 0x5678_1234)
    #expect(pci.read(PCIFixture.Function(bus: 3, device: 7), 0) == 0xFFFF_FFFF)
    for function in [nearDevice, farDevice] {
      pci.poke(11, address(of: function) + 8)
      #expect(pci.memory32(address(of: function) + 8) == 11)
    }
    #expect(pci.read(bridge, 0x1C, .word) == 0x00F0)
  }

  @Test func `the guest numbers buses anew`() {
    pci.write(0x40_20_00, to: bridge, 0x18)
    #expect(pci.read(PCIFixture.Function(bus: 0x20, device: 5), 0) == 0x5678_1234)
    #expect(pci.read(nearDevice, 0) == 0xFFFF_FFFF)
    pci.write(0x30_30_20, to: PCIFixture.Function(bus: 0x20, device: 6), 0x18)
    #expect(pci.read(PCIFixture.Function(bus: 0x30, device: 7), 0) == 0x5678_1234)
    // Out of the outer bridge's range, out of reach.
    pci.write(0x2F_20_00, to: bridge, 0x18)
    #expect(pci.read(PCIFixture.Function(bus: 0x30, device: 7), 0) == 0xFFFF_FFFF)
    // A range that would swallow bus 0 takes nothing.
    pci.write(0xFF_00_00, to: bridge, 0x18)
    #expect(pci.read(0) == 0x5678_1234)
    #expect(pci.read(PCIFixture.Function(bus: 0, device: 5), 0) == 0xFFFF_FFFF)
  }

  @Test func `a device answers only inside the windows of all bridges above`() {
    let place = address(of: farDevice)
    pci.poke(1, place)
    let window = pci.read(bridge, 0x20)
    pci.write(0x0000_FFF0, to: bridge, 0x20)
    #expect(pci.memory32(place) == 0xFFFF_FFFF)
    pci.write(window, to: bridge, 0x20)
    #expect(pci.memory32(place) == 1)
    pci.write(4, to: innerBridge, 4, .word)
    #expect(pci.memory32(place) == 0xFFFF_FFFF)
    pci.write(6, to: innerBridge, 4, .word)
    #expect(pci.memory32(place) == 1)
    // Above 4 GiB through the prefetchable windows.
    pci.write(0, to: farDevice, 0x10)
    pci.write(8, to: farDevice, 0x14)
    #expect(pci.memory32(8 << 32) == 0xFFFF_FFFF)
    for function in [bridge, innerBridge] {
      pci.write(0x0011_0001, to: function, 0x24)
      #expect(pci.read(function, 0x24) == 0x0011_0001)
      pci.write(8, to: function, 0x28)
      pci.write(8, to: function, 0x2C)
    }
    #expect(pci.memory32(8 << 32) == 1)
  }

  @Test func `mastership needs every bridge above`() {
    pci.write(6, to: farDevice, 4, .word)
    #expect(far.isBusMaster)
    pci.write(2, to: bridge, 4, .word)
    #expect(!far.isBusMaster)
    pci.write(6, to: bridge, 4, .word)
    #expect(far.isBusMaster)
  }

  @Test func `a secondary bus reset resets what is behind, and keeps it out of reach`() {
    let place = address(of: farDevice)
    pci.poke(21, place)
    pci.write(1 << 6, to: bridge, 0x3E, .word)
    #expect(pci.read(nearDevice, 0) == 0xFFFF_FFFF)
    #expect(pci.read(farDevice, 0) == 0xFFFF_FFFF)
    pci.write(0, to: bridge, 0x3E, .word)
    #expect(pci.read(nearDevice, 4, .word) == 0)
    #expect(pci.read(innerBridge, 0x18) & 0xFF_FFFF == 0)
    pci.write(0x02_02_01, to: innerBridge, 0x18)
    pci.write(pci.read(bridge, 0x20), to: innerBridge, 0x20)
    pci.write(6, to: innerBridge, 4, .word)
    pci.write(UInt32(place), to: farDevice, 0x10)
    pci.write(2, to: farDevice, 4, .word)
    #expect(pci.memory32(place) == 0)
  }

  @Test func `pins rotate through bridges`() {
    let bus = pci.root.bus.bus(behind: PCIAddress(device: 31))
    let inner = bus.bus(behind: PCIAddress(device: 6))
    // Slot 31 rotates by 3, slot 5 by 1; slot 6 by 2, slot 7 by 3.
    #expect(bus.interrupt(of: PCIAddress(device: 5)) == 16 + (3 + 1) % 4)
    #expect(inner.interrupt(of: PCIAddress(device: 7)) == 16 + (3 + 2 + 3) % 4)
    #expect(inner.interrupt(of: PCIAddress(device: 7, function: 2)) == 16 + (3 + 2 + 3 + 2) % 4)
    #expect(pci.read(farDevice, 0x3C, .byte) == 16)
  }

  @Test func `random writes to bridges never trap`() {
    let random = SeededEntropy(seed: 12)
    for _ in 0..<20_000 {
      let bits = random.next()
      let functions = [bridge, innerBridge, nearDevice, farDevice, .slot3]
      var function = functions[Int(bits % 5)]
      if bits >> 8 & 3 == 0 { function.bus = UInt8(truncatingIfNeeded: bits >> 16) & 7 }
      let register = UInt32(truncatingIfNeeded: bits >> 24) & 0xFC
      pci.write(UInt32(truncatingIfNeeded: random.next()), to: function, register)
      _ = pci.read(function, register)
    }
    pci.root.reset()
    #expect(pci.read(farDevice, 0) == 0x5678_1234)
  }
}
