/// The numbers by which a guest turns TSC ticks into nanoseconds: `((ticks << shift) * multiplier) >> 32`
/// (Linux `arch/x86/include/asm/pvclock.h`).
struct PVClockScale: Equatable {
  var multiplier: UInt32
  var shift: Int8

  /// For a TSC of `frequency` Hz, more than 0.
  init(frequency: UInt64) {
    var ticks = frequency
    var nanoseconds: UInt64 = 1_000_000_000
    var shift: Int8 = 0
    while ticks > nanoseconds * 2 || ticks >> 32 != 0 {
      ticks >>= 1
      shift -= 1
    }
    while ticks <= nanoseconds || nanoseconds >> 32 != 0 {
      if nanoseconds >> 32 != 0 || ticks & 0x8000_0000 != 0 {
        nanoseconds >>= 1
      } else {
        ticks <<= 1
      }
      shift += 1
    }
    self.shift = shift
    multiplier = UInt32(truncatingIfNeeded: (nanoseconds << 32) / ticks)
  }

  /// What the guest computes from a number of ticks.
  func nanoseconds(_ ticks: UInt64) -> UInt64 {
    let shifted = shift < 0 ? ticks >> UInt64(-shift) : ticks << UInt64(shift)
    let product = shifted.multipliedFullWidth(by: UInt64(multiplier))
    return product.high << 32 | product.low >> 32
  }
}

/// `struct pvclock_vcpu_time_info`, 32 bytes, less its version.
struct PVClockTime: Equatable {
  var timeStamp: UInt64
  var systemTime: UInt64
  var scale: PVClockScale
  /// Bit 0: the TSCs of all CPUs agree.
  var flags: UInt8
}
