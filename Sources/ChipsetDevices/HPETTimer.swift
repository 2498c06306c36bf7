import Bits

/// One comparator of the HPET (IA-PC HPET specification 1.0a, 2.3.8 and 2.3.9).
struct HPETTimer: Codable, Equatable, Sendable {
  private static let writable: UInt64 = 0x3F4E
  /// Periodic, 64-bit.
  private static let capabilities: UInt64 = HPET.routeMask << 32 | 0x30

  /// Tn_CONF's writable bits.
  var configuration: UInt64
  /// Tn_CMP.
  var comparator: UInt64
  var period: UInt64
  /// The counter's value of the next match, beyond 32 bits even in 32-bit mode; `nil` for never.
  var target: UInt64?

  static let powerOn = HPETTimer(configuration: 0, comparator: ~0, period: 0, target: nil)

  var configurationValue: UInt64 { configuration | Self.capabilities }
  var isLevelTriggered: Bool { configuration[bit: 1] }
  var isInterruptEnabled: Bool { configuration[bit: 2] }
  var isPeriodic: Bool { configuration[bit: 3] }
  private var setsAccumulator: Bool { configuration[bit: 6] }
  private var is32Bit: Bool { configuration[bit: 8] }
  /// The I/O APIC input.
  var route: UInt8 { UInt8(configuration[bits: 9...13]) }

  private var mask: UInt64 { is32Bit ? 0xFFFF_FFFF : ~0 }

  mutating func writeConfiguration(_ bits: UInt64, mask: UInt64) {
    configuration = (configuration & ~mask | bits) & Self.writable
    if is32Bit {
      comparator &= 0xFFFF_FFFF
      period &= 0xFFFF_FFFF
    }
  }

  /// In periodic mode the accumulator takes the value only after Tn_VAL_SET; the period always.
  mutating func writeComparator(_ bits: UInt64, mask: UInt64) {
    if !isPeriodic || setsAccumulator { comparator = (comparator & ~mask | bits) & self.mask }
    if isPeriodic { period = (period & ~mask | bits) & self.mask }
    configuration[bit: 6] = false
  }

  /// Finds the next match, the counter being at `counter`. A comparator just passed matches only
  /// after the counter wrapped.
  mutating func aim(from counter: UInt64) {
    let distance = (comparator &- counter) & mask
    let (sum, overflow) = counter.addingReportingOverflow(distance)
    target = overflow || (distance == 0 && !is32Bit) ? nil : sum
    if distance == 0, is32Bit { target = Self.sum(counter, 1 << 32) }
  }

  /// The match came; `counter` may be well past it.
  mutating func expired(at counter: UInt64) {
    guard let target else { return }
    guard isPeriodic, period > 0 else {
      // A comparator of 32 bits matches again after each wrap.
      let wrap: UInt64 = 1 << 32
      self.target = is32Bit ? Self.sum(target, (counter - target) / wrap &* wrap &+ wrap) : nil
      return
    }
    let periods = (counter - target) / period &+ 1
    let (advance, overflow) = periods.multipliedReportingOverflow(by: period)
    self.target = overflow ? nil : Self.sum(target, advance)
    if let next = self.target { comparator = next & mask }
  }

  private static func sum(_ a: UInt64, _ b: UInt64) -> UInt64? {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? nil : sum
  }
}
