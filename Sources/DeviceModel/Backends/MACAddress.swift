/// An Ethernet address.
public struct MACAddress: Hashable, Codable, Sendable {
  /// Six bytes, in the order of transmission.
  public private(set) var bytes: [UInt8]

  public static let broadcast = MACAddress(
    high: 0xFFFF, low: 0xFFFF_FFFF)

  private init(high: UInt16, low: UInt32) {
    let value = UInt64(high) << 32 | UInt64(low)
    bytes = (0..<6).map { UInt8(truncatingIfNeeded: value >> UInt64(40 - 8 * $0)) }
  }

  /// `nil` unless there are six bytes.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 6 else { return nil }
    self.bytes = Array(bytes)
  }

  /// Six hexadecimal pairs with colons or hyphens, as in `52:54:00:12:34:56`.
  public init?(_ text: String) {
    let parts = text.split(omittingEmptySubsequences: false) { $0 == ":" || $0 == "-" }
    let bytes = parts.compactMap { $0.count == 2 ? UInt8($0, radix: 16) : nil }
    guard parts.count == 6, bytes.count == 6 else { return nil }
    self.bytes = bytes
  }

  /// A locally administered address of one station, made of 40 bits of `seed`.
  public init(locallyAdministered seed: UInt64) {
    self.init(
      high: 0x5200 | UInt16(truncatingIfNeeded: seed >> 32) & 0xFF,
      low: UInt32(truncatingIfNeeded: seed))
  }

  /// Of a group of stations: multicast or broadcast.
  public var isGroup: Bool { bytes[0] & 1 != 0 }
}

extension MACAddress: CustomStringConvertible {
  public var description: String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }
}
