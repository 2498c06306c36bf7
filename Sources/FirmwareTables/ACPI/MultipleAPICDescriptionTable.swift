/// MADT: processors, interrupt controllers and their wiring (ACPI 6.5 §5.2.12).
struct MultipleAPICDescriptionTable {
  /// Bits 1:0 polarity, 3:2 trigger mode of MPS INTI flags (ACPI 6.5 table 5.26).
  private enum InterruptFlags {
    static let conformsToBus: UInt16 = 0
    static let edgeActiveHigh: UInt16 = 0b0101
    static let levelActiveHigh: UInt16 = 0b1101
  }

  static let localAPICAddress: UInt32 = 0xFEE0_0000
  static let ioAPICAddress: UInt32 = 0xFEC0_0000
  /// From this id on a processor needs an x2APIC entry.
  static let firstExtendedID = 255

  var cpuCount: Int

  var table: ACPITable {
    ACPITable(signature: "APIC", revision: 5) { writer in
      writer.append(littleEndian: Self.localAPICAddress)
      writer.append(littleEndian: UInt32(1))  // PCAT_COMPAT: there are 8259s
      for index in 0..<cpuCount { appendProcessor(UInt32(index), to: &writer) }
      appendIOAPIC(to: &writer)
      // The PIT's output reaches input 2; the SCI is active high on this chipset.
      appendOverride(bus: 0, global: 2, InterruptFlags.edgeActiveHigh, to: &writer)
      appendOverride(bus: 9, global: 9, InterruptFlags.levelActiveHigh, to: &writer)
      appendNMI(to: &writer)
    }
  }

  private func appendProcessor(_ index: UInt32, to writer: inout ByteWriter) {
    let enabled: UInt32 = 1
    if index < Self.firstExtendedID {
      writer.append([0, 8, UInt8(index), UInt8(index)])
      writer.append(littleEndian: enabled)
    } else {
      writer.append([9, 16, 0, 0])
      writer.append(littleEndian: index)
      writer.append(littleEndian: enabled)
      writer.append(littleEndian: index)
    }
  }

  private func appendIOAPIC(to writer: inout ByteWriter) {
    writer.append([1, 12, 0, 0])
    writer.append(littleEndian: Self.ioAPICAddress)
    writer.append(littleEndian: UInt32(0))  // first global system interrupt
  }

  private func appendOverride(
    bus: UInt8, global: UInt32, _ flags: UInt16, to writer: inout ByteWriter
  ) {
    writer.append([2, 10, 0, bus])
    writer.append(littleEndian: global)
    writer.append(littleEndian: flags)
  }

  /// NMI is wired to LINT1 of every processor.
  private func appendNMI(to writer: inout ByteWriter) {
    writer.append([4, 6, 0xFF])
    writer.append(littleEndian: InterruptFlags.conformsToBus)
    writer.append(1)
    guard cpuCount > Self.firstExtendedID else { return }
    writer.append([10, 12])
    writer.append(littleEndian: InterruptFlags.conformsToBus)
    writer.append(littleEndian: UInt32.max)
    writer.append([1, 0, 0, 0])
  }
}
