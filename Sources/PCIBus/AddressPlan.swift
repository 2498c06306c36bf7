/// What firmware gives out before a guest starts: addresses of the 32-bit window, and bus numbers.
struct AddressPlan {
  private var next = PCILayout.memoryWindow.lowerBound
  /// The bus whose functions have their turn.
  private var bus: UInt8 = 0
  /// The bus that was numbered last.
  private(set) var highestBus: UInt8 = 0

  /// `byteCount` addresses, aligned to their own number, a power of two; `nil` if the window is full.
  mutating func take(_ byteCount: UInt64) -> UInt64? {
    let start = Self.align(next, byteCount)
    guard start + byteCount - 1 <= PCILayout.memoryWindow.upperBound else { return nil }
    next = start + byteCount
    return start
  }

  /// Goes on at a multiple of `alignment`, a power of two; returns it.
  mutating func align(to alignment: UInt64) -> UInt64 {
    next = Self.align(next, alignment)
    return next
  }

  /// Goes on behind a bridge; `nil` if all numbers of buses are taken.
  mutating func enterBus() -> (primary: UInt8, secondary: UInt8)? {
    guard highestBus < .max else { return nil }
    highestBus += 1
    defer { bus = highestBus }
    return (bus, highestBus)
  }

  mutating func leaveBus(to primary: UInt8) { bus = primary }

  private static func align(_ value: UInt64, _ alignment: UInt64) -> UInt64 {
    (value + (alignment - 1)) & ~(alignment - 1)
  }
}
