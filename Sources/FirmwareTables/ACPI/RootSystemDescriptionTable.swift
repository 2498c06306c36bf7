/// RSDT and XSDT: the lists of all other tables (ACPI 6.5 §5.2.7, §5.2.8).
enum RootSystemDescriptionTable {
  /// With 32-bit pointers, for guests older than ACPI 2.0.
  static func rsdt(tables: [UInt64]) -> ACPITable {
    ACPITable(signature: "RSDT", revision: 1) { writer in
      for address in tables { writer.append(littleEndian: UInt32(truncatingIfNeeded: address)) }
    }
  }

  static func xsdt(tables: [UInt64]) -> ACPITable {
    ACPITable(signature: "XSDT", revision: 1) { writer in
      for address in tables { writer.append(littleEndian: address) }
    }
  }
}
