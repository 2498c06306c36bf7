import Glibc

/// The x87, MMX, SSE and AVX registers of one virtual CPU, with what stubs need beside them, in raw
/// memory that machine code reaches through RBX.
@safe final class ExtendedState {
  /// Byte offsets in `base`.
  enum Offset {
    /// The image of XSAVE64; only its first 160 bytes (x87 and MMX), MXCSR and the header count.
    static let x87 = 0
    static let controlWord = 0
    static let statusWord = 2
    static let tags = 4
    static let mxcsr = 24
    static let stack = 32
    /// The header of XSAVE's image, 64 bytes.
    static let components = 512
    /// YMM0…15, 32 bytes each.
    static let vectors = 576
    static let rax = 1088
    static let rcx = 1096
    static let rdx = 1104
    static let flags = 1112
    static let status = 1120
    static let hostMXCSR = 1124
    /// The memory operand of the running instruction.
    static let buffer = 1152
    /// The x87 registers before a store that might have to run again.
    static let remembered = buffer + 1024
    static let end = remembered + 160
  }

  /// FOP, FCS, FIP, FDS, FDP: of the last x87 instruction that was not a control instruction.
  struct Pointers: Equatable {
    var opcode: UInt16 = 0
    var codeSelector: UInt16 = 0
    var instruction: UInt64 = 0
    var dataSelector: UInt16 = 0
    var data: UInt64 = 0
  }

  let base: UnsafeMutableRawPointer
  var pointers = Pointers()
  private var rememberedPointers = Pointers()

  init() {
    unsafe base = .allocate(byteCount: Offset.end, alignment: 64)
    // SAFETY: here and below, offsets lie below `Offset.end`.
    unsafe memset(base, 0, Offset.end)
    store(UInt32(0x1F80), Offset.hostMXCSR)
    initializeX87()
    mxcsr = 0x1F80
  }

  deinit { unsafe base.deallocate() }

  func load<T: BitwiseCopyable>(_ offset: Int, _: T.Type = T.self) -> T {
    unsafe base.loadUnaligned(fromByteOffset: offset, as: T.self)
  }

  func store<T: BitwiseCopyable>(_ value: T, _ offset: Int) {
    unsafe base.storeBytes(of: value, toByteOffset: offset, as: T.self)
  }

  var mxcsr: UInt32 {
    get { load(Offset.mxcsr) }
    set { store(newValue, Offset.mxcsr) }
  }

  /// FSW.ES would be set: an exception that FCW does not mask.
  var isX87ExceptionPending: Bool {
    let status = load(Offset.statusWord, UInt16.self)
    return status & ~load(Offset.controlWord, UInt16.self) & 0x3F != 0
  }

  func initializeX87() {
    unsafe memset(base, 0, 24)
    unsafe memset(base + Offset.stack, 0, 128)
    store(UInt16(0x37F), Offset.controlWord)
    pointers = Pointers()
  }

  /// Keeps the x87 registers for `recallX87`.
  func rememberX87() {
    unsafe memcpy(base + Offset.remembered, base, 160)
    rememberedPointers = pointers
  }

  func recallX87() {
    let status = mxcsr
    unsafe memcpy(base, base + Offset.remembered, 160)
    mxcsr = status
    pointers = rememberedPointers
  }

  /// The transition from x87 to MMX state (SDM 1 9.5.1): the top of stack becomes 0, all tags valid. The
  /// image has ST0 first, so the registers change places.
  func enterMMX() {
    let status = load(Offset.statusWord, UInt16.self)
    let top = Int(status >> 11 & 7)
    store(UInt8(0xFF), Offset.tags)
    guard top != 0 else { return }
    store(status & ~0x3800, Offset.statusWord)
    let old = (0..<8).map {
      (load(Offset.stack + $0 * 16, UInt64.self), load(Offset.stack + $0 * 16 + 8, UInt64.self))
    }
    for number in 0..<8 {
      let (low, high) = old[(number - top) & 7]
      store(low, Offset.stack + number * 16)
      store(high, Offset.stack + number * 16 + 8)
    }
  }

  func clearVectors(low: Bool, high: Bool, count: Int = 16) {
    for number in 0..<count {
      let at = unsafe base + Offset.vectors + number * 32
      if low { unsafe memset(at, 0, 16) }
      if high { unsafe memset(at + 16, 0, 16) }
    }
  }

  /// XINUSE: which of x87, SSE and AVX differ from their initial configuration. MXCSR does not count.
  var componentsInUse: UInt64 {
    var low: UInt64 = 0
    var high: UInt64 = 0
    for number in 0..<16 {
      let at = Offset.vectors + number * 32
      low |= load(at, UInt64.self) | load(at + 8, UInt64.self)
      high |= load(at + 16, UInt64.self) | load(at + 24, UInt64.self)
    }
    return (isX87Initial ? 0 : 1) | (low != 0 ? 2 : 0) | (high != 0 ? 4 : 0)
  }

  private var isX87Initial: Bool {
    guard load(0, UInt64.self) & 0xFF_FFFF_FFFF == 0x37F, pointers == Pointers() else {
      return false
    }
    return (0..<16).allSatisfy { load(Offset.stack + $0 * 8, UInt64.self) == 0 }
  }
}
