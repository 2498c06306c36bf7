import ChipsetDevices
import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@Suite struct IOAPICTests {
  let pc: TestPC
  init() throws { pc = try TestPC() }

  func program(_ pin: UInt32, low: UInt32, destination: UInt32 = 0) {
    pc.writeIOAPIC(0x11 + 2 * pin, destination << 24)
    pc.writeIOAPIC(0x10 + 2 * pin, low)
  }

  @Test func `it is a version 20h with 24 inputs, all masked`() {
    #expect(pc.readIOAPIC(1) == 0x0017_0020)
    for pin in UInt32(0)..<24 { #expect(pc.readIOAPIC(0x10 + 2 * pin) == 0x1_0000) }
  }

  @Test func `its identifier can be set`() {
    pc.writeIOAPIC(0, 0xFF00_0000)
    #expect(pc.readIOAPIC(0) == 0x0F00_0000)
  }

  @Test func `an edge sends one message with destination, mode and vector`() {
    program(4, low: 0x0000_0931, destination: 3)
    let line = pc.chipset.interruptLine(4)
    line.set(true)
    line.set(true)
    #expect(
      pc.messages.messages == [InterruptMessage(address: 0xFEE0_3004, data: 0x4131)])
  }

  @Test func `external-interrupt entries say so`() {
    program(0, low: 0x0000_0700)
    pc.chipset.ioAPIC.withDevice { $0.setInput(0, true) }
    #expect(pc.messages.messages.map { $0.data >> 8 & 7 } == [7])
  }

  @Test func `an edge on a masked input is lost`() {
    program(4, low: 0x0001_0031)
    pc.chipset.interruptLine(4).set(true)
    program(4, low: 0x0000_0031)
    #expect(pc.messages.messages.isEmpty)
  }

  @Test func `a level is sent again after its EOI while it lasts`() {
    program(20, low: 0x0000_8041)
    let line = pc.chipset.interruptLine(20)
    line.set(true)
    #expect(pc.readIOAPIC(0x10 + 40) & 0x4000 != 0)
    line.set(false)
    line.set(true)
    #expect(pc.messages.vectors == [0x41])
    pc.chipset.endOfInterrupt(InterruptVector(rawValue: 0x41))
    #expect(pc.messages.vectors == [0x41, 0x41])
    line.set(false)
    pc.writel(0x41, 0xFEC0_0040)
    #expect(pc.readIOAPIC(0x10 + 40) & 0x4000 == 0)
    #expect(pc.messages.vectors.count == 2)
  }

  @Test func `an asserted level waits out the mask`() {
    program(16, low: 0x0001_8050)
    pc.chipset.interruptLine(16).set(true)
    #expect(pc.messages.messages.isEmpty)
    program(16, low: 0x0000_8050)
    #expect(pc.messages.vectors == [0x50])
    #expect(pc.messages.messages.first?.data == 0xC050)
  }

  @Test func `switching to edge and back clears remote IRR`() {
    program(16, low: 0x0000_8050)
    pc.chipset.interruptLine(16).set(true)
    pc.chipset.interruptLine(16).set(false)
    program(16, low: 0x0001_0050)
    program(16, low: 0x0001_8050)
    #expect(pc.readIOAPIC(0x10 + 32) == 0x0001_8050)
  }

  @Test func `the timer is on input 2, as Linux' timer check expects`() {
    program(2, low: 0x0000_0030)
    pc.outb(0x34, 0x43)
    pc.outb(0x9C, 0x40)
    pc.outb(0x2E, 0x40)
    pc.clock.advance(milliseconds: 100)
    #expect((8...10).contains(pc.messages.vectors.filter { $0 == 0x30 }.count))
  }
}
