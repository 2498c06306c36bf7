import ChipsetDevices
import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@Suite struct PITTests {
  let clock = FakeClock()
  let line = RecordingLine()
  let bus = PortBus()

  init() throws {
    let pit = AttachedDevice(PIT8254(clock: clock, interrupt: line), clock: clock)
    try bus.attach(pit, at: PortAddress(0x40), count: 4)
    try bus.attach(pit, at: PortAddress(0x61), count: 1, firstOffset: 4)
  }

  func inb(_ port: UInt16) -> UInt8 {
    UInt8(truncatingIfNeeded: bus.read(PortAddress(port), .byte))
  }
  func outb(_ value: UInt8, _ port: UInt16) {
    _ = bus.write(UInt32(value), to: PortAddress(port), .byte)
  }
  func program(_ counter: UInt16, control: UInt8, count: UInt16) {
    outb(control, 0x43)
    outb(UInt8(count & 0xFF), 0x40 + counter)
    outb(UInt8(count >> 8), 0x40 + counter)
  }

  @Test func `a periodic counter 0 ticks at the rate Linux asks for`() {
    program(0, control: 0x34, count: 11_932)
    clock.advance(seconds: 1)
    #expect(line.riseCount == 99 || line.riseCount == 100)
  }

  @Test func `ticks lost to a busy host are made up for`() {
    program(0, control: 0x34, count: 11_932)
    let before = line.riseCount
    clock.jump(nanoseconds: 105_000_000)
    #expect(line.riseCount == before + 1)
    clock.advance(milliseconds: 900)
    #expect((100...101).contains(line.riseCount))
  }

  @Test func `a one-shot counter 0 interrupts once`() {
    program(0, control: 0x38, count: 1193)
    let before = line.riseCount
    clock.advance(microseconds: 990)
    #expect(line.riseCount == before)
    clock.advance(seconds: 1)
    #expect(line.riseCount == before + 1)
  }

  @Test func `the terminal count of counter 2 shows in port 61h after 50 ms`() {
    outb(0x01, 0x61)
    program(2, control: 0xB0, count: 59_659)
    clock.advance(microseconds: 49_990)
    #expect(inb(0x61) & 0x20 == 0)
    clock.advance(microseconds: 20)
    #expect(inb(0x61) & 0x20 != 0)
  }

  @Test func `counter 2 counts down as Linux' quick calibration reads it`() {
    outb(0x01, 0x61)
    program(2, control: 0xB0, count: 0xFFFF)
    var previous: UInt8 = 0xFF
    for step in UInt64(1)...20 {
      clock.advance(nanoseconds: 256 * 838)
      _ = inb(0x42)
      let high = inb(0x42)
      #expect(high <= previous, "step \(step)")
      #expect(Int(previous) - Int(high) <= 2)
      previous = high
    }
    #expect((0xEA...0xEC).contains(previous))
  }

  @Test func `a closed gate stops counter 2 in mode 0`() {
    outb(0x01, 0x61)
    program(2, control: 0xB0, count: 0x8000)
    clock.advance(milliseconds: 1)
    outb(0x00, 0x61)
    outb(0x80, 0x43)
    let first = (inb(0x42), inb(0x42))
    clock.advance(milliseconds: 5)
    outb(0x80, 0x43)
    #expect((inb(0x42), inb(0x42)) == first)
    outb(0x01, 0x61)
    clock.advance(milliseconds: 1)
    outb(0x80, 0x43)
    #expect((inb(0x42), inb(0x42)) != first)
  }

  @Test func `the refresh bit of port 61h toggles`() {
    let first = inb(0x61) & 0x10
    clock.advance(nanoseconds: 15_085)
    #expect(inb(0x61) & 0x10 != first)
  }

  @Test func `a latched count stays until it is read in whole`() {
    program(0, control: 0x34, count: 1000)
    clock.advance(microseconds: 100)
    outb(0x00, 0x43)
    clock.advance(microseconds: 100)
    let latched = UInt16(inb(0x40)) | UInt16(inb(0x40)) << 8
    #expect(latched == 1000 - 119)
    let current = UInt16(inb(0x40)) | UInt16(inb(0x40)) << 8
    #expect(current == 1000 - 238)
  }

  @Test func `the read-back command tells a counter's mode and output`() {
    program(2, control: 0xB6, count: 100)
    outb(0xE8, 0x43)
    #expect(inb(0x42) == 0xB6)
  }

  @Test func `a decimal counter counts in decimal`() {
    program(0, control: 0x31, count: 0x1000)
    clock.advance(nanoseconds: 839)
    outb(0x00, 0x43)
    #expect((UInt16(inb(0x40)) | UInt16(inb(0x40)) << 8) == 0x0999)
    clock.advance(nanoseconds: 837_258)
    outb(0x00, 0x43)
    #expect((UInt16(inb(0x40)) | UInt16(inb(0x40)) << 8) == 0)
    #expect(line.isAsserted)
  }

  @Test func `a new count in mode 2 waits for the end of the period`() {
    program(0, control: 0x34, count: 10_000)
    clock.advance(milliseconds: 1)
    outb(0xE8, 0x40)
    outb(0x03, 0x40)
    let before = line.riseCount
    clock.advance(milliseconds: 7)
    #expect(line.riseCount == before)
    clock.advance(milliseconds: 1)
    #expect(line.riseCount == before + 1)
    clock.advance(milliseconds: 1)
    #expect(line.riseCount == before + 2)
  }
}
