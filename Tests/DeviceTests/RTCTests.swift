import ChipsetDevices
import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@Suite struct RTCTests {
  let pc: TestPC
  init() throws { pc = try TestPC() }

  @Test func `it shows the machine's wall clock in decimal, 24 hours`() {
    pc.clock.advance(seconds: 5)
    #expect([4, 2, 0].map { pc.rtc($0) } == [0x12, 0x35, 0x01])
    #expect([0x32, 9, 8, 7, 6].map { pc.rtc($0) } == [0x20, 0x24, 0x02, 0x29, 0x05])
    #expect(pc.rtc(0x0D) == 0x80)
  }

  @Test func `it counts over the end of a leap February`() {
    pc.clock.advance(seconds: 86_400)
    #expect([8, 7].map { pc.rtc($0) } == [0x03, 0x01])
  }

  @Test func `binary and 12-hour forms follow register B`() {
    pc.setRTC(0x0B, 0x04)
    #expect([4, 2, 0].map { pc.rtc($0) } == [0x8C, 34, 56])
  }

  @Test func `UIP warns before each update`() {
    #expect(pc.rtc(0x0A) & 0x80 == 0)
    pc.clock.advance(microseconds: 999_800)
    #expect(pc.rtc(0x0A) & 0x80 != 0)
    pc.clock.advance(microseconds: 300)
    #expect(pc.rtc(0x0A) & 0x80 == 0)
  }

  @Test func `a time that is set goes on from there`() {
    pc.setRTC(0x0B, 0x82)
    for (index, value): (UInt8, UInt8) in [
      (0, 0x59), (2, 0x59), (4, 0x23), (7, 0x31), (8, 0x12), (9, 0x29), (0x32, 0x20),
    ] {
      pc.setRTC(index, value)
    }
    pc.clock.advance(seconds: 10)
    #expect(pc.rtc(0) == 0x59)
    pc.setRTC(0x0B, 0x02)
    pc.clock.advance(seconds: 1)
    #expect([0x32, 9, 8, 7, 4, 2, 0].map { pc.rtc($0) } == [0x20, 0x30, 1, 1, 0, 0, 0])
  }

  @Test func `after the divider's reset the first second takes half a second`() {
    pc.setRTC(0x0A, 0x76)
    pc.setRTC(0, 0x10)
    pc.clock.advance(seconds: 3)
    pc.setRTC(0x0A, 0x26)
    pc.clock.advance(milliseconds: 499)
    #expect(pc.rtc(0) == 0x10)
    pc.clock.advance(milliseconds: 2)
    #expect(pc.rtc(0) == 0x11)
  }

  @Test func `the periodic interrupt comes at its rate, once for each reading of C`() {
    pc.initializePICs()
    pc.setRTC(0x0A, 0x26)
    pc.setRTC(0x0B, 0x42)
    var count = 0
    for _ in 0..<10_000 {
      pc.clock.advance(microseconds: 100)
      guard pc.chipset.legacyInterrupts.isInterruptRequested else { continue }
      #expect(pc.chipset.legacyInterrupts.acknowledge().rawValue == 0x38)
      pc.outb(0x20, 0xA0)
      pc.outb(0x20, 0x20)
      #expect(pc.rtc(0x0C) & 0xC0 == 0xC0)
      count += 1
    }
    #expect((1023...1024).contains(count))
  }

  @Test func `the alarm strikes at its time only`() {
    pc.initializePICs()
    pc.setRTC(1, 0x05)
    pc.setRTC(3, 0x35)
    pc.setRTC(5, 0x12)
    _ = pc.rtc(0x0C)
    pc.setRTC(0x0B, 0x22)
    pc.clock.advance(milliseconds: 8900)
    #expect(!pc.chipset.legacyInterrupts.isInterruptRequested)
    pc.clock.advance(milliseconds: 200)
    #expect(pc.chipset.legacyInterrupts.acknowledge().rawValue == 0x38)
    #expect(pc.rtc(0x0C) & 0xA0 == 0xA0)
  }

  @Test func `the update interrupt comes each second`() {
    pc.initializePICs()
    pc.setRTC(0x0B, 0x12)
    pc.clock.advance(milliseconds: 1001)
    #expect(pc.chipset.legacyInterrupts.isInterruptRequested)
    #expect(pc.rtc(0x0C) & 0x90 == 0x90)
  }

  @Test func `the RAM tells the memory's size and keeps what is stored`() {
    #expect(UInt16(pc.rtc(0x34)) | UInt16(pc.rtc(0x35)) << 8 == (512 - 16) * 16)
    pc.setRTC(0x40, 0xA5)
    pc.chipset.reset()
    #expect(pc.rtc(0x40) == 0xA5)
  }
}
