import Bits
import MachineTypes

/// One entry of the I/O redirection table, IOREDTBL (82093AA, 3.2.4).
struct RedirectionEntry: RawRepresentable, Equatable, Sendable {
  var rawValue: UInt64

  /// Masked, everything else zero.
  static let powerOn = RedirectionEntry(rawValue: 1 << 16)

  /// Delivery status and remote IRR.
  private static let readOnly: UInt64 = 1 << 12 | 1 << 14

  var vector: UInt8 { UInt8(truncatingIfNeeded: rawValue) }
  var isLevelTriggered: Bool { rawValue[bit: 15] }
  var isMasked: Bool { rawValue[bit: 16] }
  var remoteIRR: Bool {
    get { rawValue[bit: 14] }
    set { rawValue[bit: 14] = newValue }
  }

  /// What the entry sends. Level (bit 14) is always "assert": there are no de-assert messages.
  var message: InterruptMessage {
    let destination = rawValue[bits: 56...63]
    let logical = rawValue[bits: 11...11]
    var data = UInt32(truncatingIfNeeded: rawValue & 0x7FF)
    data[bit: 14] = true
    data[bit: 15] = isLevelTriggered
    return InterruptMessage(address: 0xFEE0_0000 | destination << 12 | logical << 2, data: data)
  }

  /// Takes the guest's low half. An edge-triggered entry has no remote IRR: Linux clears a stuck
  /// one by switching to edge and back.
  mutating func writeLow(_ value: UInt32) {
    let writable = UInt64(value & 0x0001_FFFF) & ~Self.readOnly
    rawValue = (rawValue & (0xFFFF_FFFF_0000_0000 | Self.readOnly)) | writable
    if !isLevelTriggered { remoteIRR = false }
  }
}
