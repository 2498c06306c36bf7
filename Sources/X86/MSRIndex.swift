/// The number of a model-specific register (SDM 4 chapter 2, APM 2 appendix A).
public struct MSRIndex: RawRepresentable, Hashable, Comparable, Sendable {
  public let rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

extension MSRIndex: CustomStringConvertible {
  public var description: String { "0x" + String(rawValue, radix: 16) }
}

extension MSRIndex {
  public static let timeStampCounter = MSRIndex(rawValue: 0x10)
  public static let platformID = MSRIndex(rawValue: 0x17)
  public static let apicBase = MSRIndex(rawValue: 0x1B)
  public static let tscAdjust = MSRIndex(rawValue: 0x3B)
  public static let microcodeRevision = MSRIndex(rawValue: 0x8B)
  public static let mtrrCapabilities = MSRIndex(rawValue: 0xFE)
  public static let sysenterCS = MSRIndex(rawValue: 0x174)
  public static let sysenterESP = MSRIndex(rawValue: 0x175)
  public static let sysenterEIP = MSRIndex(rawValue: 0x176)
  public static let machineCheckCapabilities = MSRIndex(rawValue: 0x179)
  public static let machineCheckStatus = MSRIndex(rawValue: 0x17A)
  public static let miscellaneousEnable = MSRIndex(rawValue: 0x1A0)
  public static let debugControl = MSRIndex(rawValue: 0x1D9)
  public static let pageAttributeTable = MSRIndex(rawValue: 0x277)
  public static let mtrrDefaultType = MSRIndex(rawValue: 0x2FF)
  public static let tscDeadline = MSRIndex(rawValue: 0x6E0)
  /// The first of the x2APIC registers, 0x800…0x8FF.
  public static let x2APICFirst = MSRIndex(rawValue: 0x800)
  public static let extendedStateSupervisor = MSRIndex(rawValue: 0xDA0)
  public static let extendedFeatureEnable = MSRIndex(rawValue: 0xC000_0080)
  public static let star = MSRIndex(rawValue: 0xC000_0081)
  public static let lstar = MSRIndex(rawValue: 0xC000_0082)
  public static let cstar = MSRIndex(rawValue: 0xC000_0083)
  public static let syscallMask = MSRIndex(rawValue: 0xC000_0084)
  public static let fsBase = MSRIndex(rawValue: 0xC000_0100)
  public static let gsBase = MSRIndex(rawValue: 0xC000_0101)
  public static let kernelGSBase = MSRIndex(rawValue: 0xC000_0102)
  public static let tscAuxiliary = MSRIndex(rawValue: 0xC000_0103)
}
