/// A segment register with its hidden part, in the form of a VMCS: selector, base, limit in bytes and
/// access rights.
public struct SegmentState: Hashable, Sendable {
  public var selector: UInt16
  public var base: UInt64
  /// The last valid offset, granularity already applied.
  public var limit: UInt32
  /// Bits 3:0 type, 4 S, 6:5 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G, 16 unusable (SDM 3C 25.4.1).
  public var attributes: UInt32

  public init(selector: UInt16, base: UInt64, limit: UInt32, attributes: UInt32) {
    self.selector = selector
    self.base = base
    self.limit = limit
    self.attributes = attributes
  }

  public static let unusable = SegmentState(selector: 0, base: 0, limit: 0, attributes: 1 << 16)
}

/// GDTR or IDTR.
public struct DescriptorTableState: Hashable, Sendable {
  public var base: UInt64
  public var limit: UInt16

  public init(base: UInt64, limit: UInt16) {
    self.base = base
    self.limit = limit
  }
}

/// What a virtual CPU is doing, as KVM's `KVM_GET_MP_STATE` names it.
public enum ActivityState: UInt8, Sendable {
  case runnable
  /// In HLT, until an interrupt.
  case halted
  /// An application processor that waits for INIT and SIPI.
  case waitingForStartup
  /// INIT received, waiting for SIPI.
  case initReceived
  /// After a triple fault.
  case shutdown
}

/// One model-specific register and its value.
public struct MSRValue: Hashable, Sendable {
  public var index: MSRIndex
  public var value: UInt64

  public init(index: MSRIndex, value: UInt64) {
    self.index = index
    self.value = value
  }
}

/// An exception or interrupt that was raised and not yet delivered, and what blocks delivery.
public struct PendingEvents: Hashable, Sendable {
  /// Vector of an exception to be delivered before the next instruction, or `nil`.
  public var exception: UInt8?
  public var exceptionErrorCode: UInt32?
  /// Vector of an external interrupt that was acknowledged and not yet delivered, or `nil`.
  public var interrupt: UInt8?
  public var nonMaskableInterruptPending: Bool
  public var nonMaskableInterruptMasked: Bool
  /// STI or MOV SS was the last instruction.
  public var interruptShadow: Bool

  public init(
    exception: UInt8? = nil, exceptionErrorCode: UInt32? = nil, interrupt: UInt8? = nil,
    nonMaskableInterruptPending: Bool = false, nonMaskableInterruptMasked: Bool = false,
    interruptShadow: Bool = false
  ) {
    self.exception = exception
    self.exceptionErrorCode = exceptionErrorCode
    self.interrupt = interrupt
    self.nonMaskableInterruptPending = nonMaskableInterruptPending
    self.nonMaskableInterruptMasked = nonMaskableInterruptMasked
    self.interruptShadow = interruptShadow
  }
}

/// Everything a virtual CPU is, in the one format that every engine saves and restores.
public struct VirtualCPUState: Hashable, Sendable {
  /// rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8…r15.
  public var generalRegisters: [UInt64]
  public var instructionPointer: UInt64
  public var flags: Flags
  /// es, cs, ss, ds, fs, gs.
  public var segments: [SegmentState]
  public var taskRegister: SegmentState
  public var localDescriptorTable: SegmentState
  public var globalDescriptorTable: DescriptorTableState
  public var interruptDescriptorTable: DescriptorTableState
  public var cr0: CR0
  public var cr2: UInt64
  public var cr3: UInt64
  public var cr4: CR4
  /// Task-priority, bits 3:0.
  public var cr8: UInt64
  public var xcr0: UInt64
  public var efer: ExtendedFeatureEnable
  /// DR0…DR3, DR6, DR7.
  public var debugRegisters: [UInt64]
  /// An XSAVE area in standard (non-compacted) format, at least 576 bytes.
  public var extendedState: [UInt8]
  /// MSRs that have no field of their own, ascending by index.
  public var modelSpecificRegisters: [MSRValue]
  /// The local APIC's register page, as `KVM_GET_LAPIC` gives it: 1,024 bytes. Empty without one.
  public var localAPIC: [UInt8]
  public var activity: ActivityState
  public var pending: PendingEvents

  public init(
    generalRegisters: [UInt64], instructionPointer: UInt64, flags: Flags,
    segments: [SegmentState], taskRegister: SegmentState, localDescriptorTable: SegmentState,
    globalDescriptorTable: DescriptorTableState, interruptDescriptorTable: DescriptorTableState,
    cr0: CR0, cr2: UInt64, cr3: UInt64, cr4: CR4, cr8: UInt64, xcr0: UInt64,
    efer: ExtendedFeatureEnable, debugRegisters: [UInt64], extendedState: [UInt8],
    modelSpecificRegisters: [MSRValue], localAPIC: [UInt8], activity: ActivityState,
    pending: PendingEvents
  ) {
    self.generalRegisters = generalRegisters
    self.instructionPointer = instructionPointer
    self.flags = flags
    self.segments = segments
    self.taskRegister = taskRegister
    self.localDescriptorTable = localDescriptorTable
    self.globalDescriptorTable = globalDescriptorTable
    self.interruptDescriptorTable = interruptDescriptorTable
    self.cr0 = cr0
    self.cr2 = cr2
    self.cr3 = cr3
    self.cr4 = cr4
    self.cr8 = cr8
    self.xcr0 = xcr0
    self.efer = efer
    self.debugRegisters = debugRegisters
    self.extendedState = extendedState
    self.modelSpecificRegisters = modelSpecificRegisters
    self.localAPIC = localAPIC
    self.activity = activity
    self.pending = pending
  }
}
