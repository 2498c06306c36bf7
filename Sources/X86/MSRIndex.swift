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
  @inlinable public static var timeStampCounter: Self { Self(rawValue: 0x10) }
  @inlinable public static var platformID: Self { Self(rawValue: 0x17) }
  @inlinable public static var apicBase: Self { Self(rawValue: 0x1B) }
  @inlinable public static var tscAdjust: Self { Self(rawValue: 0x3B) }
  @inlinable public static var microcodeRevision: Self { Self(rawValue: 0x8B) }
  @inlinable public static var mtrrCapabilities: Self { Self(rawValue: 0xFE) }
  @inlinable public static var sysenterCS: Self { Self(rawValue: 0x174) }
  @inlinable public static var sysenterESP: Self { Self(rawValue: 0x175) }
  @inlinable public static var sysenterEIP: Self { Self(rawValue: 0x176) }
  @inlinable public static var machineCheckCapabilities: Self { Self(rawValue: 0x179) }
  @inlinable public static var machineCheckStatus: Self { Self(rawValue: 0x17A) }
  @inlinable public static var miscellaneousEnable: Self { Self(rawValue: 0x1A0) }
  @inlinable public static var debugControl: Self { Self(rawValue: 0x1D9) }
  @inlinable public static var pageAttributeTable: Self { Self(rawValue: 0x277) }
  @inlinable public static var mtrrDefaultType: Self { Self(rawValue: 0x2FF) }
  @inlinable public static var tscDeadline: Self { Self(rawValue: 0x6E0) }
  /// The first of the x2APIC registers, 0x800…0x8FF.
  @inlinable public static var x2APICFirst: Self { Self(rawValue: 0x800) }
  @inlinable public static var extendedStateSupervisor: Self { Self(rawValue: 0xDA0) }
  @inlinable public static var extendedFeatureEnable: Self { Self(rawValue: 0xC000_0080) }
  @inlinable public static var star: Self { Self(rawValue: 0xC000_0081) }
  @inlinable public static var lstar: Self { Self(rawValue: 0xC000_0082) }
  @inlinable public static var cstar: Self { Self(rawValue: 0xC000_0083) }
  @inlinable public static var syscallMask: Self { Self(rawValue: 0xC000_0084) }
  @inlinable public static var fsBase: Self { Self(rawValue: 0xC000_0100) }
  @inlinable public static var gsBase: Self { Self(rawValue: 0xC000_0101) }
  @inlinable public static var kernelGSBase: Self { Self(rawValue: 0xC000_0102) }
  @inlinable public static var tscAuxiliary: Self { Self(rawValue: 0xC000_0103) }
}
