/// An IPv4 address.
public struct IPv4Address: Hashable, Sendable {
  /// In the host's byte order.
  public var rawValue: UInt32

  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
    rawValue = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
  }

  /// Four decimal numbers with dots; `nil` for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    let bytes = parts.compactMap { UInt8($0) }
    guard parts.count == 4, bytes.count == 4 else { return nil }
    self.init(bytes[0], bytes[1], bytes[2], bytes[3])
  }

  public static let any = IPv4Address(rawValue: 0)
  public static let loopback = IPv4Address(127, 0, 0, 1)
}

extension IPv4Address: CustomStringConvertible {
  public var description: String {
    (0..<4).map { String(rawValue >> UInt32(24 - 8 * $0) & 0xFF) }.joined(separator: ".")
  }
}
