public import MachineTypes

/// The rate of a counter, and its exact relation to the machine's nanoseconds.
public struct ClockFrequency: Hashable, Sendable {
  public let hertz: UInt64

  public init(hertz: UInt64) {
    precondition(hertz > 0)
    self.hertz = hertz
  }

  /// How many whole ticks have passed at `instant`, from `VirtualInstant.start` on.
  public func ticks(at instant: VirtualInstant) -> UInt64 {
    UInt64(truncatingIfNeeded: UInt128(instant.nanoseconds) * UInt128(hertz) / 1_000_000_000)
  }

  /// The first instant at which `ticks(at:)` is at least `tick`; saturates.
  public func instant(ofTick tick: UInt64) -> VirtualInstant {
    let nanoseconds = (UInt128(tick) * 1_000_000_000 + UInt128(hertz) - 1) / UInt128(hertz)
    return VirtualInstant(nanoseconds: UInt64(clamping: nanoseconds))
  }
}
