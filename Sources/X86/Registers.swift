/// The sixteen general registers, by their encoding (SDM 2A 2.1.5).
public enum GeneralRegister: UInt8, Sendable, CaseIterable {
  case rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
}

/// The six segment registers, by their encoding.
public enum SegmentRegister: UInt8, Sendable, CaseIterable {
  case es, cs, ss, ds, fs, gs
}

/// RFLAGS (SDM 1 3.4.3).
public struct Flags: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  public static let carry = Flags(rawValue: 1 << 0)
  /// Bit 1, which always reads as one.
  public static let alwaysOne = Flags(rawValue: 1 << 1)
  public static let parity = Flags(rawValue: 1 << 2)
  public static let adjust = Flags(rawValue: 1 << 4)
  public static let zero = Flags(rawValue: 1 << 6)
  public static let sign = Flags(rawValue: 1 << 7)
  public static let trap = Flags(rawValue: 1 << 8)
  public static let interruptEnable = Flags(rawValue: 1 << 9)
  public static let direction = Flags(rawValue: 1 << 10)
  public static let overflow = Flags(rawValue: 1 << 11)
  public static let ioPrivilegeLevel = Flags(rawValue: 3 << 12)
  public static let nestedTask = Flags(rawValue: 1 << 14)
  public static let resume = Flags(rawValue: 1 << 16)
  public static let virtual8086 = Flags(rawValue: 1 << 17)
  public static let alignmentCheck = Flags(rawValue: 1 << 18)
  public static let virtualInterrupt = Flags(rawValue: 1 << 19)
  public static let virtualInterruptPending = Flags(rawValue: 1 << 20)
  public static let identification = Flags(rawValue: 1 << 21)

  /// CF, PF, AF, ZF, SF, OF.
  public static let arithmetic: Flags = [.carry, .parity, .adjust, .zero, .sign, .overflow]
}

/// CR0 (SDM 3A 2.5).
public struct CR0: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  public static let protectionEnable = CR0(rawValue: 1 << 0)
  public static let monitorCoprocessor = CR0(rawValue: 1 << 1)
  public static let emulation = CR0(rawValue: 1 << 2)
  public static let taskSwitched = CR0(rawValue: 1 << 3)
  public static let extensionType = CR0(rawValue: 1 << 4)
  public static let numericError = CR0(rawValue: 1 << 5)
  public static let writeProtect = CR0(rawValue: 1 << 16)
  public static let alignmentMask = CR0(rawValue: 1 << 18)
  public static let notWriteThrough = CR0(rawValue: 1 << 29)
  public static let cacheDisable = CR0(rawValue: 1 << 30)
  public static let paging = CR0(rawValue: 1 << 31)
}

/// CR4 (SDM 3A 2.5).
public struct CR4: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// VME.
  public static let virtual8086Extensions = CR4(rawValue: 1 << 0)
  /// PVI.
  public static let protectedModeVirtualInterrupts = CR4(rawValue: 1 << 1)
  public static let timeStampDisable = CR4(rawValue: 1 << 2)
  public static let debuggingExtensions = CR4(rawValue: 1 << 3)
  public static let pageSizeExtensions = CR4(rawValue: 1 << 4)
  public static let physicalAddressExtension = CR4(rawValue: 1 << 5)
  public static let machineCheckEnable = CR4(rawValue: 1 << 6)
  public static let pageGlobalEnable = CR4(rawValue: 1 << 7)
  public static let performanceCounterEnable = CR4(rawValue: 1 << 8)
  public static let osFXSR = CR4(rawValue: 1 << 9)
  public static let osXMMExceptions = CR4(rawValue: 1 << 10)
  public static let userModeInstructionPrevention = CR4(rawValue: 1 << 11)
  public static let linearAddress57 = CR4(rawValue: 1 << 12)
  public static let fsgsBase = CR4(rawValue: 1 << 16)
  public static let processContextIdentifiers = CR4(rawValue: 1 << 17)
  public static let osXSAVE = CR4(rawValue: 1 << 18)
  public static let supervisorExecutionPrevention = CR4(rawValue: 1 << 20)
  public static let supervisorAccessPrevention = CR4(rawValue: 1 << 21)
  public static let protectionKeys = CR4(rawValue: 1 << 22)
}

/// IA32_EFER, MSR 0xC0000080 (SDM 3A 2.2.1, APM 2 3.1.7).
public struct ExtendedFeatureEnable: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  public static let systemCallExtensions = ExtendedFeatureEnable(rawValue: 1 << 0)
  public static let longModeEnable = ExtendedFeatureEnable(rawValue: 1 << 8)
  public static let longModeActive = ExtendedFeatureEnable(rawValue: 1 << 10)
  public static let noExecuteEnable = ExtendedFeatureEnable(rawValue: 1 << 11)
  public static let secureVirtualMachineEnable = ExtendedFeatureEnable(rawValue: 1 << 12)
  public static let fastFXSR = ExtendedFeatureEnable(rawValue: 1 << 14)
  public static let automaticIBRS = ExtendedFeatureEnable(rawValue: 1 << 21)
}
