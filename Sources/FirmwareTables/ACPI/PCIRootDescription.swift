/// A PCI root bridge, as ACPI describes it.
public struct PCIRootDescription: Hashable, Sendable {
  /// The enhanced configuration space below 4 GiB: 1 MiB for each bus from 0 on, up to 256.
  public var configurationSpace: Range<UInt64>
  /// What base address registers may be given.
  public var ports: ClosedRange<UInt16>
  public var memory: ClosedRange<UInt32>
  /// The same above RAM, for those of 64 bits.
  public var highMemory: ClosedRange<UInt64>?
  /// The I/O APIC inputs of slot 0's INTA…INTD; slots rotate.
  public var firstInterrupt: UInt8

  public init(
    configurationSpace: Range<UInt64>, ports: ClosedRange<UInt16>, memory: ClosedRange<UInt32>,
    highMemory: ClosedRange<UInt64>? = nil, firstInterrupt: UInt8
  ) {
    self.configurationSpace = configurationSpace
    self.ports = ports
    self.memory = memory
    self.highMemory = highMemory
    self.firstInterrupt = firstInterrupt
  }

  /// MCFG: where the enhanced configuration space is (PCI Firmware 3.2 §4.1.2).
  var configurationTable: ACPITable {
    ACPITable(signature: "MCFG", revision: 1) { writer in
      writer.append(littleEndian: UInt64(0))
      writer.append(littleEndian: configurationSpace.lowerBound)
      writer.append(littleEndian: UInt16(0))  // segment
      writer.append([0, lastBus])
      writer.append(littleEndian: UInt32(0))
    }
  }

  private var lastBus: UInt8 {
    let count = configurationSpace.upperBound &- configurationSpace.lowerBound
    return UInt8(clamping: max(count >> 20, 1) - 1)
  }

  /// The bridge, and the resources of the board that configuration space takes.
  var objects: [AMLObject] {
    [
      .device(
        "PCI0",
        [
          .name("_HID", .eisaID("PNP0A08")), .name("_CID", .eisaID("PNP0A03")),
          .name("_UID", .integer(0)), .name("_SEG", .integer(0)), .name("_BBN", .integer(0)),
          .name(
            "_CRS",
            .resources(
              [
                .busWindow(0...lastBus), .ports(first: 0xCF8, count: 8), .portWindow(ports),
                .memoryWindow(memory),
              ] + (highMemory.map { [.highMemoryWindow($0)] } ?? []))),
          .name("_PRT", .package(interruptRoutes)),
        ]),
      .device(
        "MBRD",
        [
          .name("_HID", .eisaID("PNP0C02")), .name("_UID", .integer(1)),
          .name(
            "_CRS",
            .resources([
              .memory(
                first: UInt32(truncatingIfNeeded: configurationSpace.lowerBound),
                count: UInt32(truncatingIfNeeded: configurationSpace.count), isWritable: true)
            ])),
        ]),
    ]
  }

  /// One route for each pin of each slot of bus 0 (ACPI 6.5 §6.2.13), without link devices. Behind bridges pins rotate
  /// as the standard has it, which needs no words.
  private var interruptRoutes: [AMLValue] {
    (1..<32).flatMap { (slot: UInt64) in
      (0..<4).map { (pin: UInt64) in
        .package([
          .integer(slot << 16 | 0xFFFF), .integer(pin), .integer(0),
          .integer(UInt64(firstInterrupt) + (slot + pin) & 3),
        ])
      }
    }
  }
}
