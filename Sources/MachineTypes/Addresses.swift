/// An address on the guest's physical bus.
public struct GuestPhysicalAddress: RawRepresentable, Hashable, Comparable, Sendable {
  public let rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// Returns the address `count` bytes further on, or `nil` if it would wrap.
  @inlinable
  public func advanced(by count: UInt64) -> Self? {
    let (sum, overflow) = rawValue.addingReportingOverflow(count)
    return overflow ? nil : Self(rawValue: sum)
  }

  @inlinable
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// A linear address of the guest: what segmentation yields and paging translates.
public struct GuestVirtualAddress: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// The number of an I/O port.
public struct PortAddress: RawRepresentable, Hashable, Comparable, Sendable {
  public let rawValue: UInt16

  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  @inlinable
  public init(_ rawValue: UInt16) { self.rawValue = rawValue }

  @inlinable
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

extension GuestPhysicalAddress: CustomStringConvertible {
  public var description: String { "0x" + String(rawValue, radix: 16) }
}

extension GuestVirtualAddress: CustomStringConvertible {
  public var description: String { "0x" + String(rawValue, radix: 16) }
}

extension PortAddress: CustomStringConvertible {
  public var description: String { "0x" + String(rawValue, radix: 16) }
}
