import X86

/// Everything the interpreter touches for one virtual CPU, in raw memory at a fixed address.
///
/// Layout is declaration order; the first fields are the hot ones. Reached through `CPU`.
@safe struct CPUState {
  // MARK: Registers

  /// The general registers in encoding order, then a zero that stands for "no register", then the
  /// instruction pointer. While a block runs, the instruction pointer holds the block's start and
  /// instructions know their offset from it.
  var registers: InlineArray<18, UInt64>
  /// The arithmetic flags, lazily: see `LazyFlags`.
  var flagResult: UInt64
  var flagAuxiliary: UInt64
  /// RFLAGS less the arithmetic flags.
  var otherFlags: UInt64

  // MARK: Segments, as the access path wants them (es cs ss ds fs gs, system tables)

  /// Segment base as added to an offset: 0 for es, cs, ss, ds in 64-bit mode. Slot 6 is always flat.
  var linearBase: InlineArray<8, UInt64>
  /// One more than the last offset that may be read (written); 0 sends the access to the slow path.
  var readEnd: InlineArray<8, UInt64>
  var writeEnd: InlineArray<8, UInt64>
  /// All ones in 64-bit mode, else the low 32 bits.
  var linearMask: UInt64

  // MARK: Attention

  /// `Attention` bits: why the interpreter must leave its fast loop. Set by any thread.
  var attention: UInt32
  /// 1 while guest code is executed (`CodeTracker.Listener`).
  var insideGuest: UInt32 = 0
  /// How many of the code tracker's closings have been carried out.
  var closingCount: UInt64 = 0
  var stop: Stop
  /// The exception that a `Stop.fault` raises.
  var faultVector: UInt8
  var faultHasErrorCode: Bool
  var faultErrorCode: UInt32
  /// A task switch went too far to be undone when it faulted: `rip` is the new task's.
  var faultBelongsToNewTask: Bool

  // MARK: Address translation

  /// The TLB set of the current privilege (and EFLAGS.AC): data accesses look here.
  var dataTLB: UnsafeMutableRawPointer
  var userTLB: UnsafeMutableRawPointer
  var supervisorTLB: UnsafeMutableRawPointer
  /// Supervisor accesses while EFLAGS.AC lifts SMAP.
  var supervisorOverrideTLB: UnsafeMutableRawPointer
  /// One word a RAM page: chunks that hold decoded code (`CodeTracker.chunks`).
  var codeChunks: UnsafeMutablePointer<UInt64>
  var codeVersions: UnsafeMutablePointer<UInt32>

  /// The page that code is fetched from: linear page and where it lies; `codeLinearPage` is odd
  /// when nothing is cached.
  var codeLinearPage: UInt64
  var codePhysicalPage: UInt64
  var codeHost: UnsafePointer<UInt8>?
  /// The page's index in RAM.
  var codeRAMPage: UInt64

  // MARK: Modes

  /// `ExecutionMode` bits that decoded code depends on.
  var mode: ExecutionMode
  var privilegeLevel: UInt8
  var budget: UInt64
  var isBudgetLimited: Bool
  var retired: UInt64

  // MARK: System registers

  var segments: InlineArray<6, Segment>
  var taskRegister: Segment
  var localTable: Segment
  var globalTableBase: UInt64
  var globalTableLimit: UInt32
  var interruptTableBase: UInt64
  var interruptTableLimit: UInt32
  var cr0: UInt64
  var cr2: UInt64
  var cr3: UInt64
  var cr4: UInt64
  var xcr0: UInt64
  var efer: UInt64
  var debugAddresses: InlineArray<4, UInt64>
  var dr6: UInt64
  var dr7: UInt64
  /// The PDPTEs that PAE paging loads with CR3 (SDM 3A 4.4.1).
  var pageDirectoryPointers: InlineArray<4, UInt64>
  var star: UInt64
  var lstar: UInt64
  var cstar: UInt64
  var syscallMask: UInt64
  var kernelGSBase: UInt64
  var sysenterCS: UInt64
  var sysenterESP: UInt64
  var sysenterEIP: UInt64
  var tscAuxiliary: UInt64
  var tscOffset: UInt64
  var tscAdjust: UInt64

  // MARK: Events

  var interruptShadow: Bool
  /// The shadow came from MOV SS or POP SS, which also holds back debug traps.
  var shadowBlocksDebug: Bool
  var nonMaskableMasked: Bool
  /// An interrupt is waiting for IF, so that setting IF calls for attention.
  var hasHeldInterrupt: Bool
  /// Bits of DR6 for a debug trap that is due after the current instruction.
  var pendingDebugTrap: UInt64
  /// Whether TF was set when the current instruction began.
  var activity: Activity

  // MARK: Exits

  var exit: PendingExit
  /// What the machine answered so far to the exits of the instruction that is being replayed.
  var replay: ReplayLog
}

/// What a virtual CPU is doing.
enum Activity: UInt8 {
  case running
  case halted
  case waitingForStartup
  case shutdown
}

/// Why an instruction did not simply complete.
enum Stop: UInt8 {
  case none
  /// An exception, in `faultVector`; the instruction changed nothing.
  case fault
  /// The machine is needed, in `exit`; the instruction runs again afterwards, or is complete.
  case exit
  /// The instruction needs to be started again right away.
  case restart
}

/// A segment register with its hidden part.
struct Segment: Equatable {
  var selector: UInt16
  var base: UInt64
  var limit: UInt32
  /// As in `SegmentState.attributes`.
  var attributes: UInt32

  static let null = Segment(selector: 0, base: 0, limit: 0, attributes: 1 << 16)
}

/// Bits of `CPUState.attention`.
enum Attention {
  /// The machine wants the vCPU back.
  static let kick: UInt32 = 1 << 0
  /// The local APIC or the 8259 may have something to deliver.
  static let interrupt: UInt32 = 1 << 1
  /// Code was written, or the code page's mapping changed: leave the block.
  static let codeChanged: UInt32 = 1 << 2
  /// A shadow, TF, RF, a pending trap or a breakpoint: one instruction at a time. Kept up by
  /// `CPU.updateStepping`.
  static let singleStep: UInt32 = 1 << 3
}

/// What decoded code takes for granted of the CPU; part of a block's key.
struct ExecutionMode: Equatable {
  var rawValue: UInt8

  static let code32: UInt8 = 1 << 0
  static let code64: UInt8 = 1 << 1
  /// SS.B: the stack pointer is ESP and not SP.
  static let stack32: UInt8 = 1 << 2
  static let protected: UInt8 = 1 << 3
  static let virtual8086: UInt8 = 1 << 4
  /// IA-32e: 64-bit or compatibility mode.
  static let long: UInt8 = 1 << 5

  @inline(__always) var is64Bit: Bool { rawValue & Self.code64 != 0 }
  @inline(__always) var isLong: Bool { rawValue & Self.long != 0 }
  @inline(__always) var isProtected: Bool { rawValue & Self.protected != 0 }
  @inline(__always) var isVirtual8086: Bool { rawValue & Self.virtual8086 != 0 }
  /// Real or virtual-8086 mode: segments are paragraphs.
  @inline(__always) var isParagraphMode: Bool {
    rawValue & (Self.protected | Self.virtual8086) != Self.protected
  }
  /// 2, 4 or 8: how wide code is by default.
  @inline(__always) var codeWidth: UInt8 {
    is64Bit ? 8 : (rawValue & Self.code32 != 0 ? 4 : 2)
  }
  /// 2, 4 or 8: how wide the stack pointer is.
  @inline(__always) var stackWidth: UInt8 {
    is64Bit ? 8 : (rawValue & Self.stack32 != 0 ? 4 : 2)
  }
}

/// An exit that is to be handed to the machine.
struct PendingExit {
  enum Kind: UInt8 {
    case none, portRead, portWrite, mmioRead, mmioWrite, msrRead, msrWrite, hypercall
    case endOfInterrupt, halt, shutdown
  }
  var kind: Kind
  var width: UInt8
  var address: UInt64
  var value: UInt64

  static let none = PendingExit(kind: .none, width: 0, address: 0, value: 0)
}

/// An instruction that needs the machine is run again from its start after each exit; this log holds
/// what the machine answered so far, in order, so that it gets one step further each time. No
/// instruction commits a register before its last access, so running it again is harmless.
struct ReplayLog {
  /// Answers to reads; 16 suffices for any instruction (FXRSTOR-sized accesses to devices are split
  /// and refused beyond that).
  var values: InlineArray<64, UInt64>
  var valueCount: UInt8
  var cursor: UInt8
  /// Writes the machine has already carried out.
  var writeCount: UInt8
  var writeCursor: UInt8
}
