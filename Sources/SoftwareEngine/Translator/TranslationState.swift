import X86

/// What only translated code and its entry and exit use, right before `CPUState`.
struct TranslationState {
  // MARK: Within 128 bytes of the host's stack pointer, where addresses are shortest

  /// The guest's R10, R11, R14 and R15 while translated code runs.
  var registers: InlineArray<4, UInt64> = .init(repeating: 0)
  /// The linear page that is being executed.
  var codePage: UInt64 = 0
  var indexMask = TLBSet.indexMask
  /// The address bits that select an entry of a jump table; 0, which finds nothing, when attention is due.
  var jumpMask = JumpTable.indexMask
  /// 0 when attention is due.
  var running: UInt32 = 0
  /// 0 while the guest's vector registers are in the host's.
  var vectorsAbsent: UInt32 = 1
  /// LAHF's AH in bits 15:8, OF in bit 0, of the point where a block saved them.
  var savedFlags: UInt64 = 0
  /// Registers that flags are to be had from, before they were overwritten.
  var copies: InlineArray<4, UInt64> = .init(repeating: 0)
  var pageMask: UInt64 = ~4095
  /// A value that an instruction needs across two accesses.
  var temporary: UInt64 = 0

  // MARK: The rest

  /// The host's stack pointer at entry; exits go back to it.
  var hostStack: UInt64 = 0
  /// Where entry jumps to.
  var target: UInt64 = 0
  /// The flags at entry and exit, as `savedFlags`.
  var flags: UInt64 = 0
  /// What translated code counts down from, by each instruction: 0, or the instruction budget.
  var count: UInt64 = 0
  /// R14 at exit.
  var scratch: UInt64 = 0
  /// The host addresses of an access group's streams.
  var streams: InlineArray<3, UInt64> = .init(repeating: 0)
  /// What PUSHF needs to remember.
  var linear: UInt64 = 0
  var signMask: UInt64 = 1 << 63
  var alignmentMask: UInt64 = 15
  var wideWordMask: UInt64 = ~63
  var wordMask: UInt64 = ~31
  var bitMask: UInt64 = 63
  var shortBitMask: UInt64 = 31
  /// The vCPU's `ExtendedState`.
  var extended: UInt64 = 0
  /// The state itself, the TLB's sets and its second level, and the jump tables' control block.
  var state: UInt64 = 0
  var tlbSets: UInt64 = 0
  var level2: UInt64 = 0
  var jumps: UInt64 = 0
  /// PAUSEs until the thread lets others have the processor (`CPU.pause`).
  var pausesLeft = TranslationState.pauseLimit
  /// Whether the vector registers' upper halves are in the host's, too.
  var vectorsAreWide: UInt32 = 0
  /// 0 while the guest's x87 registers are in the host's.
  var x87Absent: UInt32 = 1
  /// Which x87 instruction was the last since code was entered, and which with a memory operand (`X87Note`); 0 for none.
  var x87Note: UInt32 = 0
  var x87DataNote: UInt32 = 0
  /// The first one's linear page, and the second one's operand's offset in its segment.
  var x87Page: UInt64 = 0
  var x87Data: UInt64 = 0
  /// The key of the code after the last instruction that changed it; 0 if there was none since code was entered.
  var key: UInt32 = 0
  /// Which site translated code left at.
  var site: UInt32 = 0
}

extension TranslationState {
  /// Some microseconds of waiting.
  static let pauseLimit: UInt32 = 256
  /// How far before `CPUState` it lies.
  static let byteCount = (MemoryLayout<Self>.size + 63) & ~63
}

/// Byte offsets from the state, for translated code.
enum StateOffset {
  // SAFETY: stored properties of a struct have offsets.
  static func field(_ path: PartialKeyPath<TranslationState>) -> Int {
    MemoryLayout<TranslationState>.offset(of: path)! - TranslationState.byteCount
  }
  static let hostStack = field(\.hostStack)
  static let target = field(\.target)
  static let flags = field(\.flags)
  static let savedFlags = field(\.savedFlags)
  static func copy(_ number: UInt8) -> Int { field(\.copies) + Int(number) * 8 }
  static let count = field(\.count)
  static func stream(_ number: Int) -> Int { field(\.streams) + number * 8 }
  static let scratch = field(\.scratch)
  static let temporary = field(\.temporary)
  static let linear = field(\.linear)
  static let codePage = field(\.codePage)
  static let indexMask = field(\.indexMask)
  static let pageMask = field(\.pageMask)
  static let signMask = field(\.signMask)
  static let alignmentMask = field(\.alignmentMask)
  static let jumpMask = field(\.jumpMask)
  static let extended = field(\.extended)
  static let tlbSets = field(\.tlbSets)
  static let level2 = field(\.level2)
  static let state = field(\.state)
  static let jumps = field(\.jumps)
  /// ~63 and ~31, the words that bit offsets select; 63 and 31, the bits in them.
  static let wideWordMask = field(\.wideWordMask)
  static let wordMask = field(\.wordMask)
  static let bitMask = field(\.bitMask)
  static let shortBitMask = field(\.shortBitMask)
  static let pausesLeft = field(\.pausesLeft)
  static let vectorsAbsent = field(\.vectorsAbsent)
  static let vectorsAreWide = field(\.vectorsAreWide)
  static let x87Absent = field(\.x87Absent)
  static let x87Note = field(\.x87Note)
  static let x87DataNote = field(\.x87DataNote)
  static let x87Page = field(\.x87Page)
  static let x87Data = field(\.x87Data)
  static let running = field(\.running)
  static let site = field(\.site)
  static let key = field(\.key)
  static let linearBase = MemoryLayout<CPUState>.offset(of: \.linearBase)!
  static let otherFlags = MemoryLayout<CPUState>.offset(of: \.otherFlags)!
  static let hasHeldInterrupt = MemoryLayout<CPUState>.offset(of: \.hasHeldInterrupt)!
  static let privilegeLevel = MemoryLayout<CPUState>.offset(of: \.privilegeLevel)!
  static let dataTLB = unsafe MemoryLayout<CPUState>.offset(of: \.dataTLB)!
  static let userTLB = unsafe MemoryLayout<CPUState>.offset(of: \.userTLB)!
  static let supervisorTLB = unsafe MemoryLayout<CPUState>.offset(of: \.supervisorTLB)!
  static let overrideTLB = unsafe MemoryLayout<CPUState>.offset(of: \.supervisorOverrideTLB)!
  static let codeLinearPage = MemoryLayout<CPUState>.offset(of: \.codeLinearPage)!
  static let efer = MemoryLayout<CPUState>.offset(of: \.efer)!
  static let star = MemoryLayout<CPUState>.offset(of: \.star)!
  static let lstar = MemoryLayout<CPUState>.offset(of: \.lstar)!
  static let syscallMask = MemoryLayout<CPUState>.offset(of: \.syscallMask)!
  static let kernelGSBase = MemoryLayout<CPUState>.offset(of: \.kernelGSBase)!
  static func segment(_ number: UInt8) -> Int {
    MemoryLayout<CPUState>.offset(of: \.segments)! + Int(number) * MemoryLayout<Segment>.stride
  }
  static let selector = MemoryLayout<Segment>.offset(of: \.selector)!
  static let segmentBase = MemoryLayout<Segment>.offset(of: \.base)!
  static let segmentLimit = MemoryLayout<Segment>.offset(of: \.limit)!
  static let segmentAttributes = MemoryLayout<Segment>.offset(of: \.attributes)!
  /// Where a guest register is at entry and exit.
  static func saved(_ number: UInt8) -> Int { Int(number) * 8 }
  /// Where a guest register that has no host register is in between.
  static func register(_ number: UInt8) -> Int { registers + Host.memoryRegister(number) * 8 }
  private static let registers = field(\.registers)
}
