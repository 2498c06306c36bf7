import ChipsetDevices
import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@Suite struct HPETTests {
  static let base: UInt64 = 0xFED0_0000
  let pc: TestPC
  init() throws { pc = try TestPC() }

  func write(_ offset: UInt64, _ value: UInt32) { pc.writel(value, Self.base + offset) }
  func read(_ offset: UInt64) -> UInt32 { pc.readl(Self.base + offset) }

  @Test func `it tells Linux three 64-bit timers of 10 ns`() {
    #expect(pc.readq(Self.base) == 0x0098_9680_8086_A201)
    #expect(read(4) == 10_000_000)
  }

  @Test func `the counter runs only while it is enabled`() {
    pc.clock.advance(milliseconds: 1)
    #expect(read(0xF0) == 0)
    write(0x10, 1)
    pc.clock.advance(milliseconds: 1)
    #expect(read(0xF0) == 100_000)
    write(0x10, 0)
    pc.clock.advance(milliseconds: 1)
    #expect(pc.readq(Self.base + 0xF0) == 100_000)
  }

  @Test func `a periodic timer as Linux programs it ticks in place of the PIT`() {
    pc.writeIOAPIC(0x10 + 4, 0x30)
    write(0x10, 3)
    write(0x100, 0x14C)
    write(0x108, 400_000 + read(0xF0))
    write(0x108, 400_000)
    pc.clock.advance(seconds: 1)
    #expect(pc.messages.vectors.count == 250)
  }

  @Test func `legacy replacement silences the PIT`() {
    pc.writeIOAPIC(0x10 + 4, 0x30)
    write(0x10, 3)
    pc.outb(0x34, 0x43)
    pc.outb(0x9C, 0x40)
    pc.outb(0x2E, 0x40)
    pc.clock.advance(seconds: 1)
    #expect(pc.messages.messages.isEmpty)
  }

  @Test func `a one-shot timer of 32 bits strikes when the counter gets there`() {
    pc.writeIOAPIC(0x10 + 40, 0x55)
    write(0x10, 1)
    write(0x140, 20 << 9 | 0x104)
    write(0x148, 5000)
    pc.clock.advance(microseconds: 49)
    #expect(pc.messages.messages.isEmpty)
    pc.clock.advance(microseconds: 2)
    #expect(pc.messages.vectors == [0x55])
  }

  @Test func `a level-triggered timer holds its line until its status is cleared`() {
    pc.writeIOAPIC(0x10 + 42, 0x8056)
    write(0x10, 1)
    write(0x140, 21 << 9 | 0x106)
    write(0x148, 1000)
    pc.clock.advance(microseconds: 11)
    #expect(read(0x20) == 4)
    pc.chipset.endOfInterrupt(InterruptVector(rawValue: 0x56))
    #expect(pc.messages.vectors == [0x56, 0x56])
    write(0x20, 4)
    pc.chipset.endOfInterrupt(InterruptVector(rawValue: 0x56))
    #expect(pc.messages.vectors.count == 2)
  }
}
