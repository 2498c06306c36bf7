import ChipsetDevices
import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@Suite struct PICTests {
  let pc: TestPC
  init() throws {
    pc = try TestPC()
    pc.initializePICs()
  }
  var pic: LegacyInterruptController { pc.chipset.legacyInterrupts }
  func acknowledge() -> UInt8 { pic.acknowledge().rawValue }

  @Test func `an edge requests an interrupt and the acknowledge cycle names its vector`() {
    pic.line(4).set(true)
    #expect(pic.isInterruptRequested)
    #expect(acknowledge() == 0x34)
    #expect(!pic.isInterruptRequested)
  }

  @Test func `the slave's interrupts come through the master's input 2`() {
    pic.line(8).set(true)
    #expect(acknowledge() == 0x38)
    pc.outb(0x0B, 0x20)
    #expect(pc.inb(0x20) == 0x04)
    pc.outb(0x0B, 0xA0)
    #expect(pc.inb(0xA0) == 0x01)
  }

  @Test func `an interrupt in service holds back the lower ones until its EOI`() {
    pic.line(3).set(true)
    #expect(acknowledge() == 0x33)
    pic.line(5).set(true)
    #expect(!pic.isInterruptRequested)
    pic.line(1).set(true)
    #expect(acknowledge() == 0x31)
    pc.outb(0x20, 0x20)
    #expect(!pic.isInterruptRequested)
    pc.outb(0x20, 0x20)
    #expect(acknowledge() == 0x35)
  }

  @Test func `a specific EOI ends just the one`() {
    pic.line(3).set(true)
    _ = acknowledge()
    pic.line(4).set(true)
    pc.outb(0x63, 0x20)
    #expect(acknowledge() == 0x34)
  }

  @Test func `a masked input waits`() {
    pc.outb(0xFB, 0x21)
    #expect(pc.inb(0x21) == 0xFB)
    pic.line(4).set(true)
    #expect(!pic.isInterruptRequested)
    pc.outb(0x00, 0x21)
    #expect(pic.isInterruptRequested)
  }

  @Test func `a request that went away yields the spurious interrupt 7, not in service`() {
    pc.outb(0x20, 0x4D0)
    pic.line(5).set(true)
    pic.line(5).set(false)
    #expect(acknowledge() == 0x37)
    pc.outb(0x0B, 0x20)
    #expect(pc.inb(0x20) == 0)
  }

  @Test func `automatic EOI leaves nothing in service`() {
    pc.initializePICs(automaticEOI: true)
    pic.line(3).set(true)
    _ = acknowledge()
    pic.line(6).set(true)
    #expect(acknowledge() == 0x36)
  }

  @Test func `special mask mode lets lower inputs through a masked one in service`() {
    pic.line(3).set(true)
    _ = acknowledge()
    pic.line(5).set(true)
    pc.outb(0x08, 0x21)
    #expect(!pic.isInterruptRequested)
    pc.outb(0x68, 0x20)
    #expect(acknowledge() == 0x35)
  }

  @Test func `rotation makes the served input the last in line`() {
    pic.line(3).set(true)
    _ = acknowledge()
    pc.outb(0xA0, 0x20)
    pic.line(3).set(false)
    pic.line(3).set(true)
    pic.line(4).set(true)
    #expect(acknowledge() == 0x34)
  }

  @Test func `a poll acknowledges and names the input`() {
    pic.line(5).set(true)
    pc.outb(0x0C, 0x20)
    #expect(pc.inb(0x20) == 0x85)
    #expect(!pic.isInterruptRequested)
    pc.outb(0x0C, 0x20)
    #expect(pc.inb(0x20) & 0x80 == 0)
  }

  @Test func `a level-triggered input asks again while it is asserted`() {
    pc.outb(0x20, 0x4D0)
    #expect(pc.inb(0x4D0) == 0x20)
    pic.line(5).set(true)
    #expect(acknowledge() == 0x35)
    pc.outb(0x20, 0x20)
    #expect(acknowledge() == 0x35)
    pic.line(5).set(false)
    pc.outb(0x20, 0x20)
    #expect(!pic.isInterruptRequested)
  }

  @Test func `timer, cascade, keyboard and clock stay edge-triggered`() {
    pc.outw(0xFFFF, 0x4D0)
    #expect(pc.inw(0x4D0) == 0xDEF8)
  }

  @Test func `a restored pair goes on where the saved one stopped`() throws {
    pic.line(4).set(true)
    let saved = pc.chipset.save()
    _ = acknowledge()
    try pc.chipset.restore(saved)
    #expect(pc.chipset.save() == saved)
    #expect(acknowledge() == 0x34)
  }
}
