import MachineTypes

/// DSDT: the devices that cannot be found by looking (ACPI 6.5 §5.2.11.1).
struct DifferentiatedSystemDescriptionTable {
  var platform: PlatformDescription

  var table: ACPITable {
    ACPITable(signature: "DSDT", revision: 2) { writer in
      writer.append(AMLEncoder.encode([sleepStates, systemBus]))
    }
  }

  /// `\_S5`: what to write to SLP_TYP of PM1a_CNT and PM1b_CNT for soft-off.
  private var sleepStates: AMLObject {
    let type = AMLValue.integer(UInt64(platform.softOffSleepType & 7))
    return .name("\\_S5", .package([type, type, .integer(0), .integer(0)]))
  }

  private var systemBus: AMLObject {
    .scope(
      "\\_SB",
      processors + legacyDevices + serialPorts + optionalDevices
        + (platform.pciRoot?.objects ?? []) + platform.systemBusObjects)
  }

  private var processors: [AMLObject] {
    (0..<platform.cpuCount).map { index in
      let digits = String(index, radix: 16, uppercase: true)
      let name = "C" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits
      return .device(
        name, [.name("_HID", .string("ACPI0007")), .name("_UID", .integer(UInt64(index)))])
    }
  }

  private var legacyDevices: [AMLObject] {
    [
      Self.device(
        "PIC", "PNP0000",
        [
          .ports(first: 0x20, count: 2), .ports(first: 0xA0, count: 2),
          .ports(first: 0x4D0, count: 2), .interrupt(2),
        ]),
      Self.device("TMR", "PNP0100", [.ports(first: 0x40, count: 4), .interrupt(0)]),
      Self.device("RTC", "PNP0B00", [.ports(first: 0x70, count: 2), .interrupt(8)]),
    ]
  }

  private var serialPorts: [AMLObject] {
    platform.serialPorts.prefix(9).enumerated().map { index, serial in
      Self.device(
        "COM\(index + 1)", "PNP0501", uniqueID: UInt64(index + 1),
        [.ports(first: serial.port.rawValue, count: 8), .interrupt(serial.interrupt)])
    }
  }

  private var optionalDevices: [AMLObject] {
    var devices: [AMLObject] = []
    if platform.hasKeyboardController {
      devices.append(
        Self.device(
          "KBD", "PNP0303",
          [.ports(first: 0x60, count: 1), .ports(first: 0x64, count: 1), .interrupt(1)]))
    }
    if platform.hasHPET {
      let timer = HighPrecisionEventTimerTable.self
      devices.append(
        Self.device(
          "HPET", "PNP0103",
          [.memory(first: timer.address, count: timer.byteCount, isWritable: false)]))
    }
    if platform.hasPanicDevice {
      devices.append(
        .device(
          "PEVT",
          [
            .name("_HID", .string("QEMU0001")), Self.present,
            .name("_CRS", .resources([.ports(first: 0x505, count: 1)])),
          ]))
    }
    return devices
  }

  /// `_STA`: present, enabled, functioning and shown.
  private static let present = AMLObject.name("_STA", .integer(0xF))

  private static func device(
    _ name: String, _ identifier: String, uniqueID: UInt64? = nil, _ resources: [AMLResource]
  ) -> AMLObject {
    var objects: [AMLObject] = [.name("_HID", .eisaID(identifier))]
    if let uniqueID { objects.append(.name("_UID", .integer(uniqueID))) }
    return .device(name, objects + [present, .name("_CRS", .resources(resources))])
  }
}
