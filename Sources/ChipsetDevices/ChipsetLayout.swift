public import MachineTypes

/// Where the chipset's devices are. Firmware tables must say the same.
public enum ChipsetLayout {
  public static let pic = (
    master: PortAddress(0x20), slave: PortAddress(0xA0), edgeLevelControl: PortAddress(0x4D0)
  )
  public static let pit = PortAddress(0x40)
  public static let systemControlPortB = PortAddress(0x61)
  public static let keyboardData = PortAddress(0x60)
  public static let keyboardCommand = PortAddress(0x64)
  public static let rtc = PortAddress(0x70)
  public static let postCode = PortAddress(0x80)
  public static let systemControlPortA = PortAddress(0x92)
  public static let delay = PortAddress(0xED)
  public static let bochsConsole = PortAddress(0xE9)
  public static let firmwareConsole = PortAddress(0x402)
  public static let panicPort = PortAddress(0x505)

  /// PM1a_EVT; the other blocks follow from it.
  public static let pmBase = PortAddress(0x600)
  public static let pm1aControl = PortAddress(0x604)
  public static let pmTimer = PortAddress(0x608)
  /// Four bytes: two of status, two of enables.
  public static let generalEvents = PortAddress(0x620)
  /// The SCI: level-triggered.
  public static let systemControlInterrupt: UInt8 = 9
  /// What `\_S5` must name for PM1a_CNT.
  public static let softOffSleepType = ACPIPowerManagement.softOffSleepType

  public static let resetRegister = PortAddress(0xCF9)
  public static let resetValue: UInt8 = 6
  /// CF8h, the first of the four ports that the reset control decodes.
  static let resetRange = PortAddress(0xCF8)

  public static let ioAPIC = GuestPhysicalAddress(0xFEC0_0000)
  public static let ioAPICIdentifier: UInt8 = 0
  public static let hpet = GuestPhysicalAddress(0xFED0_0000)

  /// The I/O APIC input of an ISA interrupt: IRQ 0 is on 2, the others on their own.
  public static func ioAPICPin(ofInterrupt number: UInt8) -> UInt8 { number == 0 ? 2 : number }
}
