import ChipsetDevices
import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@Suite struct SerialPortTests {
  let pc: TestPC
  init() throws { pc = try TestPC() }

  func out(_ register: UInt16, _ value: UInt8) { pc.outb(value, 0x3F8 + register) }
  func input(_ register: UInt16) -> UInt8 { pc.inb(0x3F8 + register) }
  func configure115200WithFIFO() {
    out(3, 0x83)
    out(0, 1)
    out(1, 0)
    out(3, 0x03)
    out(2, 0xC7)
    out(4, 0x0B)
  }

  @Test func `Linux' autoconfiguration finds a 16550A`() {
    out(1, 0)
    #expect(input(1) == 0)
    out(1, 0x0F)
    #expect(input(1) & 0x0F == 0x0F)
    out(1, 0)
    out(4, 0x1A)
    #expect(input(6) & 0xF0 == 0x90)
    out(4, 0)
    out(3, 0xBF)
    out(2, 0)
    out(3, 0)
    out(2, 0x01)
    #expect(input(2) >> 6 == 3)
    out(3, 0x80)
    #expect(input(2) != 0)
    out(3, 0)
    out(2, 0x21)
    #expect(input(2) >> 5 == 6)
    out(1, 0x10)
    #expect(input(1) & 0x10 == 0)
  }

  @Test func `enabling the transmit interrupt raises it again and again`() {
    for _ in 0..<2 {
      out(1, 0x02)
      #expect(input(2) & 0x0F == 0x02)
      out(1, 0x00)
      #expect(input(2) & 0x01 == 0x01)
    }
  }

  @Test func `bytes written reach the host`() {
    for byte in "Linux".utf8 { out(0, byte) }
    #expect(pc.com1.text == "Linux")
    #expect(input(5) & 0x60 == 0x60)
  }

  @Test func `a host that does not listen holds the transmitter, and nothing is lost`() {
    configure115200WithFIFO()
    pc.com1.isReady = false
    for byte in "abc".utf8 { out(0, byte) }
    #expect(input(5) & 0x20 == 0)
    pc.com1.isReady = true
    pc.chipset.resumeOutput(of: .com1)
    #expect(pc.com1.text == "abc")
    #expect(input(5) & 0x20 != 0)
  }

  @Test func `loopback returns what is sent and keeps it from the host`() {
    out(4, 0x10)
    out(0, 0x5A)
    #expect(input(5) & 0x01 != 0)
    #expect(input(0) == 0x5A)
    #expect(pc.com1.bytes.isEmpty)
  }

  @Test func `a single byte below the trigger interrupts after four character times`() {
    configure115200WithFIFO()
    out(1, 0x01)
    #expect(pc.chipset.inputGate.submit(.serial(port: 0, bytes: [0x41])) == 1)
    #expect(input(2) & 0x0F == 0x01)
    pc.clock.advance(microseconds: 400)
    #expect(input(2) & 0x0F == 0x0C)
    #expect(input(0) == 0x41)
    #expect(input(2) & 0x0F == 0x01)
  }

  @Test func `the trigger level interrupts at once, on interrupt 4, through OUT2 only`() {
    pc.initializePICs()
    configure115200WithFIFO()
    out(1, 0x01)
    out(4, 0x03)
    _ = pc.chipset.inputGate.submit(.serial(port: 0, bytes: Array(repeating: 0x20, count: 14)))
    #expect(input(2) & 0x0F == 0x04)
    #expect(!pc.chipset.legacyInterrupts.isInterruptRequested)
    out(4, 0x0B)
    #expect(pc.chipset.legacyInterrupts.acknowledge().rawValue == 0x34)
  }

  @Test func `a long paste arrives whole and in order`() {
    configure115200WithFIFO()
    let text = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    var offered = 0
    var got: [UInt8] = []
    while got.count < text.count {
      if offered < text.count {
        offered += pc.chipset.inputGate.submit(
          .serial(port: 0, bytes: Array(text[offered...])))
      }
      while input(5) & 1 != 0 { got.append(input(0)) }
      pc.clock.advance(milliseconds: 2)
    }
    #expect(got == text)
    #expect(pc.com1.roomCount > 0)
  }

  @Test func `an absent port reads as all ones`() {
    #expect(pc.inb(0x2FD) == 0xFF)
    #expect(pc.chipset.ports.statistics.unclaimedCount == 1)
  }
}
