import ChipsetDevices
import DeviceModel
import MachineTypes
import MartletTesting
import Testing

@Suite struct SmallDeviceTests {
  let pc: TestPC
  init() throws { pc = try TestPC() }

  // MARK: i8042, as Linux 6.1 drivers/input/serio/i8042.c probes it

  func command(_ value: UInt8) { pc.outb(value, 0x64) }
  func keyboard(_ bytes: UInt8...) -> [UInt8] {
    for byte in bytes { pc.outb(byte, 0x60) }
    return drain()
  }
  func drain() -> [UInt8] {
    var bytes: [UInt8] = []
    while pc.inb(0x64) & 1 != 0 { bytes.append(pc.inb(0x60)) }
    return bytes
  }

  @Test func `the keyboard controller passes its self tests`() {
    #expect(drain().isEmpty)
    command(0xAA)
    #expect(drain() == [0x55])
    command(0xAB)
    #expect(drain() == [0x00])
    command(0x60)
    pc.outb(0x70, 0x60)
    command(0x20)
    #expect(drain() == [0x70])
  }

  @Test func `the auxiliary port turns out to be absent`() {
    command(0xD3)
    pc.outb(0x5A, 0x60)
    #expect(pc.inb(0x64) & 0x21 == 0x01)
    _ = drain()
    command(0xA9)
    #expect(drain() == [0x01])
  }

  @Test func `the keyboard answers what atkbd asks`() {
    #expect(keyboard(0xFF) == [0xFA, 0xAA])
    #expect(keyboard(0xF2) == [0xFA, 0xAB, 0x83])
    #expect(keyboard(0xED, 0x02) == [0xFA, 0xFA])
    #expect(keyboard(0xF0, 0x00) == [0xFA, 0xFA, 0x02])
    #expect(keyboard(0xF3, 0x00) == [0xFA, 0xFA])
    #expect(keyboard(0xF4) == [0xFA])
    #expect(keyboard(0xF5) == [0xFA])
    #expect(keyboard(0xE1) == [0xFE])
  }

  @Test func `each byte from the keyboard makes its own edge on interrupt 1`() {
    pc.initializePICs()
    command(0x60)
    pc.outb(0x61, 0x60)
    pc.outb(0xF2, 0x60)
    for expected in [UInt8(0xFA), 0xAB, 0x83] {
      #expect(pc.chipset.legacyInterrupts.acknowledge().rawValue == 0x31)
      #expect(pc.inb(0x60) == expected)
      pc.outb(0x20, 0x20)
    }
    #expect(!pc.chipset.legacyInterrupts.isInterruptRequested)
  }

  @Test func `a flood of commands fills no buffer beyond its end`() throws {
    for _ in 0..<1000 {
      command(0x20)
      pc.outb(0xF2, 0x60)
    }
    #expect(drain().count <= 32)
  }

  // MARK: Resets

  @Test func `every customary way to reset the machine resets it`() {
    #expect(pc.outb(0xFE, 0x64) == .reset)
    #expect(pc.outb(0x03, 0x92) == .reset)
    #expect(pc.outb(0x06, 0xCF9) == .reset)
  }

  @Test func `an address of PCI configuration space is not taken for a reset`() {
    #expect(pc.outl(0x8000_0400, 0xCF8) == .none)
    #expect(pc.inl(0xCF8) == 0xFFFF_FFFF)
  }

  // MARK: ACPI

  @Test func `entering S5 switches off and S1 does not`() {
    #expect(pc.inw(0x604) == 1)
    #expect(pc.outw(1 << 10 | 1 << 13, 0x604) == .none)
    #expect(pc.outw(5 << 10, 0x604) == .none)
    #expect(pc.outw(5 << 10 | 1 << 13, 0x604) == .powerOff)
  }

  @Test func `the PM timer counts 3579545 times a second over all 32 bits`() {
    let first = pc.inl(0x608)
    pc.clock.advance(seconds: 1)
    #expect(pc.inl(0x608) &- first == 3_579_545)
  }

  @Test func `the power button raises a level on interrupt 9 until it is seen`() {
    pc.writeIOAPIC(0x10 + 18, 0x8039)
    pc.outw(0x0100, 0x602)
    pc.chipset.pressPowerButton()
    #expect(pc.messages.vectors == [0x39])
    #expect(pc.inw(0x600) == 0x0100)
    pc.outw(0x0100, 0x600)
    #expect(pc.inw(0x600) == 0)
    pc.chipset.endOfInterrupt(InterruptVector(rawValue: 0x39))
    #expect(pc.messages.vectors == [0x39])
  }

  @Test func `an enabled PM timer interrupts when its highest bit turns`() {
    pc.writeIOAPIC(0x10 + 18, 0x8039)
    pc.outw(0x0001, 0x602)
    pc.clock.advance(seconds: 599)
    #expect(pc.messages.messages.isEmpty)
    pc.clock.advance(seconds: 2)
    #expect(pc.messages.vectors == [0x39])
  }

  @Test func `general-purpose events clear by writing ones`() {
    pc.chipset.powerManagement.withDevice { $0.raiseGeneralEvent(3) }
    #expect(pc.inl(0x620) == 8)
    pc.outl(0xFFFF_0008, 0x620)
    #expect(pc.inl(0x620) == 0xFFFF_0000)
  }

  // MARK: Small ports

  @Test(arguments: [
    (UInt8(0b01), MachineRequest.reportGuestPanic), (0b10, .reportGuestCrashLoaded), (0, .none),
    (0b100, .none),
  ])
  func `pvpanic asks the machine to act only on what it offers`(
    value: UInt8, request: MachineRequest
  ) {
    #expect(pc.inb(0x505) == 3)
    #expect(pc.outb(value, 0x505) == request)
  }

  @Test func `the debug consoles print and can be found`() {
    for byte in "hi".utf8 { pc.outb(byte, 0x402) }
    pc.outb(0x21, 0xE9)
    #expect(pc.console.text == "hi!")
    #expect(pc.inb(0xE9) == 0xE9)
    #expect(pc.inb(0x402) == 0xE9)
  }

  @Test func `the POST code port remembers`() {
    pc.outb(0x42, 0x80)
    #expect(pc.inb(0x80) == 0x42)
    #expect(pc.outb(0, 0xED) == .none)
  }
}
