import ChipsetDevices
import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@Suite struct BusTests {
  @Test func `overlapping devices are refused with both ranges`() throws {
    let bus = PortBus()
    try bus.attach(AttachedDevice(POSTCodePort()), at: PortAddress(0x80), count: 4)
    #expect(throws: BusOverlapError(requested: 0x83...0x84, occupied: 0x80...0x83)) {
      try bus.attach(AttachedDevice(POSTCodePort()), at: PortAddress(0x83), count: 2)
    }
    #expect(throws: BusOverlapError(requested: 0x7F...0x80, occupied: 0x80...0x83)) {
      try bus.attach(AttachedDevice(POSTCodePort()), at: PortAddress(0x7F), count: 2)
    }
    try bus.attach(AttachedDevice(POSTCodePort()), at: PortAddress(0x84), count: 1)
  }

  @Test func `a wide access to byte devices is split at consecutive ports`() throws {
    let bus = PortBus()
    for port in UInt16(0x80)..<0x84 {
      try bus.attach(AttachedDevice(POSTCodePort()), at: PortAddress(port), count: 1)
    }
    #expect(bus.write(0x4433_2211, to: PortAddress(0x80), .doubleword) == .none)
    #expect(bus.read(PortAddress(0x81), .word) == 0x3322)
    #expect(bus.read(PortAddress(0x82), .doubleword) == 0xFFFF_4433)
    #expect(bus.statistics == BusStatistics(unclaimedCount: 2, refusedCount: 0))
  }

  @Test func `the last port and the last address are no trap`() {
    #expect(PortBus().read(PortAddress(0xFFFF), .doubleword) == 0xFFFF_FFFF)
    #expect(MemoryBus().read(GuestPhysicalAddress(.max), .quadword) == .max)
    #expect(MemoryBus().write(0, to: GuestPhysicalAddress(.max), .quadword) == .none)
  }

  @Test func `a reset brings back the power-on state`() throws {
    let pc = try TestPC()
    let initial = pc.chipset.save()
    pc.initializePICs()
    pc.writeIOAPIC(0x14, 0x31)
    pc.outb(0x34, 0x43)
    pc.outb(0x10, 0x40)
    pc.outb(0x27, 0x40)
    pc.outb(0x03, 0x3FB)
    pc.outb(0x12, 0x80)
    pc.outb(0xAA, 0x64)
    pc.writel(3, 0xFED0_0010)
    #expect(pc.chipset.save() != initial)
    pc.chipset.reset()
    #expect(pc.chipset.save() == initial)
  }

  @Test func `random accesses trap nothing, and a saved state restores to itself`() throws {
    let pc = try TestPC()
    let entropy = SeededEntropy(seed: 1)
    for _ in 0..<200_000 {
      let choice = entropy.next()
      let value = entropy.next()
      let width = AccessWidth(rawValue: 1 << UInt8(choice & 3))!
      let port = PortAddress(UInt16(truncatingIfNeeded: choice >> 8 & 0x6FF))
      let hpet = GuestPhysicalAddress(0xFED0_0000 + (choice >> 8 & 0x1FF))
      let ioAPIC = GuestPhysicalAddress(0xFEC0_0000 + (choice >> 8 & 0x50))
      switch choice >> 32 & 7 {
      case 0, 1: _ = pc.chipset.ports.write(UInt32(truncatingIfNeeded: value), to: port, width)
      case 2: _ = pc.chipset.ports.read(port, width)
      case 3: _ = pc.chipset.memory.write(value, to: hpet, width)
      case 4: _ = pc.chipset.memory.read(hpet, width)
      case 5: _ = pc.chipset.memory.write(value & 0xFFFF_00FF, to: ioAPIC, width)
      case 6: pc.clock.jump(nanoseconds: value & 0xFFFFF)
      default: _ = pc.chipset.legacyInterrupts.acknowledge()
      }
    }
    let saved = pc.chipset.save()
    try pc.chipset.restore(saved)
    #expect(pc.chipset.save() == saved)
  }
}
