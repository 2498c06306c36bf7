public import MachineTypes

/// The machine's time and its time-stamp counter, which tick together.
public struct TimeSource: Sendable {
  public let clock: any MachineClock
  /// The frequency of the guest's TSC in kHz, more than 0.
  public let tscFrequencyKilohertz: UInt32

  public init(clock: any MachineClock, tscFrequencyKilohertz: UInt32) {
    self.clock = clock
    self.tscFrequencyKilohertz = tscFrequencyKilohertz
  }

  /// The TSC of a CPU that never wrote its own, at a moment.
  public func timeStamp(at instant: VirtualInstant) -> UInt64 {
    let product = instant.nanoseconds.multipliedFullWidth(by: UInt64(tscFrequencyKilohertz))
    // 2⁶⁴ ns are 584 years: the quotient fits for any frequency below 1 GHz × 2¹⁴.
    guard product.high < 1_000_000 else { return .max }
    return UInt64(1_000_000).dividingFullWidth((product.high, product.low)).quotient
  }
}
