/// HPET: where the High Precision Event Timer is (IA-PC HPET 1.0a §3.2.4).
enum HighPrecisionEventTimerTable {
  static let address: UInt32 = 0xFED0_0000
  static let byteCount: UInt32 = 0x400

  /// Vendor 0x8086, legacy replacement, 64-bit counter, 3 comparators, revision 1.
  private static let blockIdentifier: UInt32 = 0x8086_A201

  static var table: ACPITable {
    ACPITable(signature: "HPET", revision: 1) { writer in
      writer.append(littleEndian: blockIdentifier)
      GenericAddress(space: .systemMemory, bitWidth: 0, accessSize: 0, address: UInt64(address))
        .append(to: &writer)
      writer.append(0)  // HPET number
      writer.append(littleEndian: UInt16(100))  // minimum tick in periodic mode
      writer.append(0)  // no page protection
    }
  }
}
