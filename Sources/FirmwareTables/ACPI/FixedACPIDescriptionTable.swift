/// FADT: the fixed hardware registers and what the platform is (ACPI 6.5 §5.2.9).
struct FixedACPIDescriptionTable {
  /// IAPC_BOOT_ARCH (ACPI 6.5 table 5.11).
  struct BootArchitecture: OptionSet {
    var rawValue: UInt16
    static let legacyDevices = BootArchitecture(rawValue: 1 << 0)
    static let keyboardController = BootArchitecture(rawValue: 1 << 1)
    static let vgaNotPresent = BootArchitecture(rawValue: 1 << 2)
  }

  /// Fixed feature flags (ACPI 6.5 table 5.10). Without PWR_BUTTON the power button is the fixed one.
  struct Features: OptionSet {
    var rawValue: UInt32
    static let writeBackInvalidate = Features(rawValue: 1 << 0)
    static let processorC1 = Features(rawValue: 1 << 2)
    /// There is no fixed sleep button.
    static let sleepButtonIsDevice = Features(rawValue: 1 << 5)
    /// The RTC cannot wake the machine through the fixed registers.
    static let rtcWakeNotFixed = Features(rawValue: 1 << 6)
    static let timerHas32Bits = Features(rawValue: 1 << 8)
    static let resetRegister = Features(rawValue: 1 << 10)
  }

  private enum Port {
    static let pm1aEvent: UInt16 = 0x600
    static let pm1aControl: UInt16 = 0x604
    static let pmTimer: UInt16 = 0x608
    static let generalEvent0: UInt16 = 0x620
    static let reset: UInt16 = 0xCF9
  }

  private static let systemControlInterrupt: UInt16 = 9
  private static let centuryCMOSIndex: UInt8 = 0x32
  /// What the guest writes to the reset register: hard reset of the CPU.
  private static let resetValue: UInt8 = 0x06

  var facs: UInt64
  var dsdt: UInt64
  var hasKeyboardController: Bool

  var table: ACPITable {
    ACPITable(signature: "FACP", revision: 6) { writer in
      writer.append(littleEndian: UInt32(truncatingIfNeeded: facs))
      writer.append(littleEndian: UInt32(truncatingIfNeeded: dsdt))
      writer.append(0)
      writer.append(0)  // preferred power profile: unspecified
      writer.append(littleEndian: Self.systemControlInterrupt)
      // No SMI command port: the machine is always in ACPI mode.
      writer.append(zeros: 4 + 4)
      appendShortRegisters(&writer)
      writer.append(littleEndian: bootArchitecture.rawValue)
      writer.append(0)
      writer.append(littleEndian: features.rawValue)
      GenericAddress.port(Port.reset, bitWidth: 8, accessSize: 1).append(to: &writer)
      writer.append(Self.resetValue)
      writer.append(littleEndian: UInt16(0))  // ARM boot flags
      writer.append(5)  // minor version: ACPI 6.5
      // ACPI 6.5: OSPM takes X_ fields first; FIRMWARE_CTRL stays for older guests, so X_ is zero.
      writer.append(littleEndian: UInt64(0))
      writer.append(littleEndian: dsdt)
      appendExtendedRegisters(&writer)
      writer.append("MARTLET", count: 8)  // hypervisor vendor identity
    }
  }

  private var bootArchitecture: BootArchitecture {
    var flags: BootArchitecture = [.legacyDevices, .vgaNotPresent]
    if hasKeyboardController { flags.insert(.keyboardController) }
    return flags
  }

  private var features: Features {
    [
      .writeBackInvalidate, .processorC1, .sleepButtonIsDevice, .rtcWakeNotFixed, .timerHas32Bits,
      .resetRegister,
    ]
  }

  private func appendShortRegisters(_ writer: inout ByteWriter) {
    let blocks = [Port.pm1aEvent, 0, Port.pm1aControl, 0, 0, Port.pmTimer, Port.generalEvent0, 0]
    for port in blocks { writer.append(littleEndian: UInt32(port)) }
    writer.append([4, 2, 0, 4, 4, 0, 0])  // lengths of PM1_EVT … GPE1, GPE1_BASE
    writer.append(0)  // _CST notification
    writer.append(littleEndian: UInt16(0xFFFF))  // C2 not supported
    writer.append(littleEndian: UInt16(0xFFFF))  // C3 not supported
    writer.append(littleEndian: UInt16(0))  // FLUSH_SIZE, FLUSH_STRIDE: WBINVD works
    writer.append(littleEndian: UInt16(0))
    writer.append([0, 0])  // duty cycle
    writer.append([0, 0])  // day and month alarm
    writer.append(Self.centuryCMOSIndex)
  }

  private func appendExtendedRegisters(_ writer: inout ByteWriter) {
    let blocks: [GenericAddress] = [
      .port(Port.pm1aEvent, bitWidth: 32, accessSize: 2), .absent,
      .port(Port.pm1aControl, bitWidth: 16, accessSize: 2), .absent, .absent,
      .port(Port.pmTimer, bitWidth: 32, accessSize: 3),
      .port(Port.generalEvent0, bitWidth: 32, accessSize: 1), .absent,
      .absent, .absent,  // sleep control and status: hardware-reduced machines only
    ]
    for block in blocks { block.append(to: &writer) }
  }
}
