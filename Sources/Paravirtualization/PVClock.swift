/// The numbers by which a guest turns TSC ticks into nanoseconds: `((ticks << shift) * multiplier) >> 32`
/// (Linux `arch/x86/include/asm/pvclock.h`).
struct PVClockScale: Equatable {
  var multiplier: UInt32
  var shift: Int8

  /// For a TSC of `frequency` Hz, 1…2⁴².
  init(frequency: UInt64) {
    // Nanoseconds per tick are 10⁹ ÷ frequency. The shift brings that to at least ½ and below 1, so that
    // the fraction keeps all of its 32 bits.
    let ticks = UInt128(frequency)
    let nanoseconds = UInt128(1_000_000_000)
    var shift: Int8 = 0
    while shift >= 0, ticks << UInt128(shift) <= nanoseconds { shift += 1 }
    while shift <= 0, nanoseconds << UInt128(1 - shift) < ticks { shift -= 1 }
    let fraction =
      shift < 0
      ? (nanoseconds << UInt128(32 - shift)) / ticks
      : (nanoseconds << 32) / (ticks << UInt128(shift))
    self.shift = shift
    multiplier = UInt32(truncatingIfNeeded: fraction)
  }

  /// What the guest computes from a number of ticks.
  func nanoseconds(_ ticks: UInt64) -> UInt64 {
    let shifted = shift < 0 ? ticks >> UInt64(-shift) : ticks << UInt64(shift)
    let product = shifted.multipliedFullWidth(by: UInt64(multiplier))
    return product.high << 32 | product.low >> 32
  }
}
