/// How many bytes one bus access moves.
public enum AccessWidth: UInt8, Sendable, CaseIterable {
  case byte = 1
  case word = 2
  case doubleword = 4
  case quadword = 8

  @inlinable public var byteCount: Int { Int(rawValue) }

  /// All bits that an access of this width carries: what a read of nothing returns.
  @inlinable public var allOnes: UInt64 { ~0 >> (64 - 8 * UInt64(rawValue)) }
}
