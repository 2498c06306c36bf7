/// A term of the ACPI Machine Language, as far as tables without control methods of their own need it
/// (ACPI 6.5 §20.2).
public indirect enum AMLObject: Hashable, Sendable {
  /// `Scope (path) { … }`
  case scope(String, [AMLObject])
  /// `Device (name) { … }`
  case device(String, [AMLObject])
  /// `Name (name, value)`
  case name(String, AMLValue)
  /// `Method (name, argumentCount) { Return (value) }`
  case constantMethod(String, argumentCount: UInt8, returns: AMLValue)
}

/// Constant data in AML.
public indirect enum AMLValue: Hashable, Sendable {
  case integer(UInt64)
  /// ASCII, without NUL.
  case string(String)
  case buffer([UInt8])
  /// At most 255 elements.
  case package([AMLValue])
  /// A compressed EISA identifier such as `PNP0501`: three capital letters and four hex digits.
  case eisaID(String)
  case resources([AMLResource])
}

/// What a device occupies: an entry of `_CRS` (ACPI 6.5 §6.4).
public enum AMLResource: Hashable, Sendable {
  /// Fixed I/O ports, decoded with 16 bits.
  case ports(first: UInt16, count: UInt8)
  /// An edge-triggered, active-high ISA interrupt, 0…15.
  case interrupt(UInt8)
  /// A level-triggered, active-high interrupt that devices share: an I/O APIC input.
  case sharedInterrupt(UInt32)
  /// Fixed memory below 4 GiB.
  case memory(first: UInt32, count: UInt32, isWritable: Bool)
  /// What a bridge passes on: bus numbers, ports, memory below 4 GiB.
  case busWindow(ClosedRange<UInt8>)
  case portWindow(ClosedRange<UInt16>)
  case memoryWindow(ClosedRange<UInt32>)
  /// Memory above 4 GiB.
  case highMemoryWindow(ClosedRange<UInt64>)
}
