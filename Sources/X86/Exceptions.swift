/// The processor's own exceptions, by vector (SDM 3A 6.3).
public enum ExceptionVector: UInt8, Sendable, CaseIterable {
  /// #DE
  case divideError = 0
  /// #DB
  case debug = 1
  case nonMaskableInterrupt = 2
  /// #BP
  case breakpoint = 3
  /// #OF
  case overflow = 4
  /// #BR
  case boundRangeExceeded = 5
  /// #UD
  case invalidOpcode = 6
  /// #NM
  case deviceNotAvailable = 7
  /// #DF
  case doubleFault = 8
  /// #TS
  case invalidTSS = 10
  /// #NP
  case segmentNotPresent = 11
  /// #SS
  case stackFault = 12
  /// #GP
  case generalProtection = 13
  /// #PF
  case pageFault = 14
  /// #MF
  case floatingPoint = 16
  /// #AC
  case alignmentCheck = 17
  /// #MC
  case machineCheck = 18
  /// #XM
  case simdFloatingPoint = 19

  /// Whether the processor pushes an error code with this exception.
  public var hasErrorCode: Bool {
    switch self {
    case .doubleFault, .invalidTSS, .segmentNotPresent, .stackFault, .generalProtection,
      .pageFault, .alignmentCheck:
      true
    default: false
    }
  }
}
