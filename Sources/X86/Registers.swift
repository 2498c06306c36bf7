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

  @inlinable public static var carry: Self { Self(rawValue: 1 << 0) }
  /// Bit 1, which always reads as one.
  @inlinable public static var alwaysOne: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var parity: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var adjust: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var zero: Self { Self(rawValue: 1 << 6) }
  @inlinable public static var sign: Self { Self(rawValue: 1 << 7) }
  @inlinable public static var trap: Self { Self(rawValue: 1 << 8) }
  @inlinable public static var interruptEnable: Self { Self(rawValue: 1 << 9) }
  @inlinable public static var direction: Self { Self(rawValue: 1 << 10) }
  @inlinable public static var overflow: Self { Self(rawValue: 1 << 11) }
  @inlinable public static var ioPrivilegeLevel: Self { Self(rawValue: 3 << 12) }
  @inlinable public static var nestedTask: Self { Self(rawValue: 1 << 14) }
  @inlinable public static var resume: Self { Self(rawValue: 1 << 16) }
  @inlinable public static var virtual8086: Self { Self(rawValue: 1 << 17) }
  @inlinable public static var alignmentCheck: Self { Self(rawValue: 1 << 18) }
  @inlinable public static var virtualInterrupt: Self { Self(rawValue: 1 << 19) }
  @inlinable public static var virtualInterruptPending: Self { Self(rawValue: 1 << 20) }
  @inlinable public static var identification: Self { Self(rawValue: 1 << 21) }

  /// CF, PF, AF, ZF, SF, OF.
  @inlinable public static var arithmetic: Flags {
    [.carry, .parity, .adjust, .zero, .sign, .overflow]
  }
}

/// CR0 (SDM 3A 2.5).
public struct CR0: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var protectionEnable: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var monitorCoprocessor: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var emulation: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var taskSwitched: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var extensionType: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var numericError: Self { Self(rawValue: 1 << 5) }
  @inlinable public static var writeProtect: Self { Self(rawValue: 1 << 16) }
  @inlinable public static var alignmentMask: Self { Self(rawValue: 1 << 18) }
  @inlinable public static var notWriteThrough: Self { Self(rawValue: 1 << 29) }
  @inlinable public static var cacheDisable: Self { Self(rawValue: 1 << 30) }
  @inlinable public static var paging: Self { Self(rawValue: 1 << 31) }
}

/// CR4 (SDM 3A 2.5).
public struct CR4: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// VME.
  @inlinable public static var virtual8086Extensions: Self { Self(rawValue: 1 << 0) }
  /// PVI.
  @inlinable public static var protectedModeVirtualInterrupts: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var timeStampDisable: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var debuggingExtensions: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var pageSizeExtensions: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var physicalAddressExtension: Self { Self(rawValue: 1 << 5) }
  @inlinable public static var machineCheckEnable: Self { Self(rawValue: 1 << 6) }
  @inlinable public static var pageGlobalEnable: Self { Self(rawValue: 1 << 7) }
  @inlinable public static var performanceCounterEnable: Self { Self(rawValue: 1 << 8) }
  @inlinable public static var osFXSR: Self { Self(rawValue: 1 << 9) }
  @inlinable public static var osXMMExceptions: Self { Self(rawValue: 1 << 10) }
  @inlinable public static var userModeInstructionPrevention: Self { Self(rawValue: 1 << 11) }
  @inlinable public static var linearAddress57: Self { Self(rawValue: 1 << 12) }
  @inlinable public static var fsgsBase: Self { Self(rawValue: 1 << 16) }
  @inlinable public static var processContextIdentifiers: Self { Self(rawValue: 1 << 17) }
  @inlinable public static var osXSAVE: Self { Self(rawValue: 1 << 18) }
  @inlinable public static var supervisorExecutionPrevention: Self { Self(rawValue: 1 << 20) }
  @inlinable public static var supervisorAccessPrevention: Self { Self(rawValue: 1 << 21) }
  @inlinable public static var protectionKeys: Self { Self(rawValue: 1 << 22) }
}

/// IA32_EFER, MSR 0xC0000080 (SDM 3A 2.2.1, APM 2 3.1.7).
public struct ExtendedFeatureEnable: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var systemCallExtensions: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var longModeEnable: Self { Self(rawValue: 1 << 8) }
  @inlinable public static var longModeActive: Self { Self(rawValue: 1 << 10) }
  @inlinable public static var noExecuteEnable: Self { Self(rawValue: 1 << 11) }
  @inlinable public static var secureVirtualMachineEnable: Self { Self(rawValue: 1 << 12) }
  @inlinable public static var fastFXSR: Self { Self(rawValue: 1 << 14) }
  @inlinable public static var automaticIBRS: Self { Self(rawValue: 1 << 21) }
}
