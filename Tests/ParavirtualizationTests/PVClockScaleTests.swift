@testable import Paravirtualization
import Testing

/// In kHz: what counters have, and the edges between shifts.
private let frequencies: [UInt32] = [
  1, 2, 3, 32, 1000, 14_318, 499_999, 500_000, 500_001, 999_999, 1_000_000, 1_000_001, 1_999_999,
  2_000_000, 2_000_001, 2_596_136, 3_999_999, 4_000_000, 5_100_000, .max,
]

/// `pvclock_scale_delta` of Linux's arch/x86/include/asm/pvclock.h, in arithmetic of 128 bits.
private func scaleDelta(_ delta: UInt64, _ multiplier: UInt32, _ shift: Int8) -> UInt64 {
  let shifted = shift < 0 ? delta >> UInt64(-Int(shift)) : delta << UInt64(shift)
  return UInt64(truncatingIfNeeded: (UInt128(shifted) * UInt128(multiplier)) >> 32)
}

@Test(arguments: frequencies)
func `the multiplier uses all of its bits`(kilohertz: UInt32) {
  let scale = PVClockScale(frequency: UInt64(kilohertz) * 1000)
  #expect(scale.multiplier >= 1 << 31)
}

@Test(arguments: frequencies)
func `the kernel's arithmetic makes nanoseconds of ticks`(kilohertz: UInt32) {
  let scale = PVClockScale(frequency: UInt64(kilohertz) * 1000)
  for milliseconds: UInt64 in [1, 1000, 86_400_000, 31_536_000_000] {
    let (ticks, overflow) = milliseconds.multipliedReportingOverflow(by: UInt64(kilohertz))
    guard !overflow, ticks.leadingZeroBitCount > Int(max(scale.shift, 0)) else { continue }
    let result = scaleDelta(ticks, scale.multiplier, scale.shift)
    let expected = milliseconds * 1_000_000
    // The fraction is cut off after 32 bits; a right shift drops ticks of less than a nanosecond's half.
    let allowed = expected >> 31 + 2
    #expect(result <= expected && expected - result <= allowed, "\(kilohertz) kHz")
    #expect(scale.nanoseconds(ticks) == result)
  }
}

@Test func `a tick of one nanosecond is exact`() {
  let scale = PVClockScale(frequency: 1_000_000_000)
  #expect(scale.multiplier == 1 << 31)
  #expect(scale.shift == 1)
  #expect(scale.nanoseconds(0x1234_5678_9ABC_DEF) == 0x1234_5678_9ABC_DEF)
}

@Test(arguments: [
  (UInt32(1_000_000), UInt64(1_000_000)), (2_500_000, 2_500_000), (3_000_000, 3_000_000),
])
func `the kernel gets the frequency back from the factor`(kilohertz: UInt32, expected: UInt64) {
  // `pvclock_tsc_khz`, arch/x86/kernel/pvclock.c.
  let scale = PVClockScale(frequency: UInt64(kilohertz) * 1000)
  var result = (UInt64(1_000_000) << 32) / UInt64(scale.multiplier)
  result = scale.shift < 0 ? result << UInt64(-Int(scale.shift)) : result >> UInt64(scale.shift)
  #expect(result == expected)
}
