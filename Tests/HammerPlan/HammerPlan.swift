/// What a hammer does to a disk, which follows from a seed alone: the test that kills it does the same in its head.
public struct HammerPlan {
  public enum Step: Equatable, Sendable {
    /// Sectors that each say which write they are of.
    case write(sectors: Range<Int>)
    case writeZeroes(sectors: Range<Int>)
    case flush
  }

  private var state: UInt64
  private let sectorCount: Int

  public init(seed: UInt64, sectorCount: Int) {
    state = seed
    self.sectorCount = sectorCount
  }

  /// SplitMix64.
  private mutating func random(_ limit: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return Int((value ^ value >> 31) % UInt64(limit))
  }

  public mutating func next() -> Step {
    let kind = random(40)
    if kind == 0 { return .flush }
    let count = 1 + random(kind < 4 ? 512 : 24)
    let start = random(sectorCount - count)
    return kind < 10
      ? .writeZeroes(sectors: start..<start + count) : .write(sectors: start..<start + count)
  }

  /// What a write puts into a sector.
  public static func contents(seed: UInt64, step: Int, sector: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for number in [seed, UInt64(step), UInt64(sector)] {
      for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(8 * shift))) }
    }
    return bytes + [UInt8](repeating: UInt8(truncatingIfNeeded: step | 1), count: 512 - bytes.count)
  }
}
