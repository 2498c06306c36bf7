public import MachineTypes

/// What the firmware tables tell the guest about its machine. The defaults are Martlet's chipset.
public struct PlatformDescription: Hashable, Sendable {
  /// A 16550A behind I/O ports, as `PNP0501`.
  public struct SerialPort: Hashable, Sendable {
    public var port: PortAddress
    /// The ISA interrupt, 0…15.
    public var interrupt: UInt8

    public init(port: PortAddress, interrupt: UInt8) {
      self.port = port
      self.interrupt = interrupt
    }

    public static let com1 = SerialPort(port: PortAddress(0x3F8), interrupt: 4)
    public static let com2 = SerialPort(port: PortAddress(0x2F8), interrupt: 3)
    public static let com3 = SerialPort(port: PortAddress(0x3E8), interrupt: 4)
    public static let com4 = SerialPort(port: PortAddress(0x2E8), interrupt: 3)
  }

  /// The most processors the tables have room for.
  public static let maximumCPUCount = 1024

  /// 1…`maximumCPUCount`; local APIC ids count from 0.
  public var cpuCount: Int
  public var serialPorts: [SerialPort]
  /// A High Precision Event Timer at 0xFED00000.
  public var hasHPET: Bool
  /// An i8042 at ports 0x60 and 0x64, with a keyboard.
  public var hasKeyboardController: Bool
  /// A pvpanic device at port 0x505.
  public var hasPanicDevice: Bool
  /// What a guest writes to SLP_TYP of PM1a_CNT for soft-off, 0…7.
  public var softOffSleepType: UInt8
  /// The PCI root bridge, if there is one.
  public var pciRoot: PCIRootDescription?
  /// Further AML objects for the scope `\_SB`.
  public var systemBusObjects: [AMLObject]
  /// The machine's own identity, SMBIOS type 1; 16 bytes in the byte order of RFC 9562.
  public var identifier: [UInt8]

  public init(
    cpuCount: Int, serialPorts: [SerialPort] = [.com1], hasHPET: Bool = false,
    hasKeyboardController: Bool = true, hasPanicDevice: Bool = true, softOffSleepType: UInt8 = 5,
    pciRoot: PCIRootDescription? = nil, systemBusObjects: [AMLObject] = [],
    identifier: [UInt8] = [UInt8](repeating: 0, count: 16)
  ) {
    self.cpuCount = cpuCount
    self.serialPorts = serialPorts
    self.hasHPET = hasHPET
    self.hasKeyboardController = hasKeyboardController
    self.hasPanicDevice = hasPanicDevice
    self.softOffSleepType = softOffSleepType
    self.pciRoot = pciRoot
    self.systemBusObjects = systemBusObjects
    self.identifier = identifier
  }
}

/// A machine that the firmware tables cannot describe.
public enum FirmwareError: Error, Hashable, Sendable {
  case cpuCount(Int)
  case identifierLength(Int)
  /// The tables do not fit their area.
  case tablesTooLarge(byteCount: Int, room: Int)
  /// Less than 1 MiB of RAM: the areas that the tables lie in are not there.
  case memoryTooSmall(byteCount: UInt64)
}

extension FirmwareError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .cpuCount(let count):
      "\(count) processors cannot be described: choose 1 to \(PlatformDescription.maximumCPUCount)"
    case .identifierLength(let count):
      "the machine identifier has \(count) bytes: it must have 16"
    case .tablesTooLarge(let count, let room):
      "the firmware tables need \(count) bytes and have room for \(room): describe fewer processors or devices"
    case .memoryTooSmall(let count):
      "\(count) bytes of memory are less than the 1 MiB that firmware tables need"
    }
  }
}
