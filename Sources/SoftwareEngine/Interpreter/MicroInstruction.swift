import X86Decoder

/// An instruction as the interpreter executes it: decoded, checked against the CPU's features, and
/// with everything resolved that does not change while its bytes and the mode stay the same.
struct MicroInstruction {
  /// Which function carries it out.
  var handler: Handler
  /// The operand forms and width that the handler tells apart.
  var shape: Shape
  /// 1, 2, 4 or 8.
  var width: UInt8
  /// Byte offset in `CPUState.registers` of the first and second register operand.
  var first: UInt8
  var second: UInt8
  /// The memory operand: byte offsets of base and index, shift, segment (0…6).
  var base: UInt8
  var index: UInt8
  var scale: UInt8
  var segment: UInt8
  var length: UInt8
  /// A condition code, a bit operation's kind, or what the handler likes.
  var detail: UInt8
  var flags: MicroFlags
  /// Where the instruction starts, counted from its block's start.
  var offset: UInt16
  /// All ones in the bits of an address.
  var addressMask: UInt64
  var displacement: UInt64
  var immediate: UInt64
}

/// A reference to a decoded instruction in its block: one pointer, so that handlers load just the fields
/// they use.
///
/// `@safe`: blocks live until the cache is flushed, which happens between instructions only.
@safe struct Micro {
  let pointer: UnsafePointer<MicroInstruction>

  @inline(__always) var handler: Handler { unsafe pointer.pointee.handler }
  @inline(__always) var shape: Shape { unsafe pointer.pointee.shape }
  @inline(__always) var width: UInt8 { unsafe pointer.pointee.width }
  @inline(__always) var first: UInt8 { unsafe pointer.pointee.first }
  @inline(__always) var second: UInt8 { unsafe pointer.pointee.second }
  @inline(__always) var base: UInt8 { unsafe pointer.pointee.base }
  @inline(__always) var index: UInt8 { unsafe pointer.pointee.index }
  @inline(__always) var scale: UInt8 { unsafe pointer.pointee.scale }
  @inline(__always) var segment: UInt8 { unsafe pointer.pointee.segment }
  @inline(__always) var length: UInt8 { unsafe pointer.pointee.length }
  @inline(__always) var detail: UInt8 { unsafe pointer.pointee.detail }
  @inline(__always) var flags: MicroFlags { unsafe pointer.pointee.flags }
  @inline(__always) var offset: UInt16 { unsafe pointer.pointee.offset }
  @inline(__always) var addressMask: UInt64 { unsafe pointer.pointee.addressMask }
  @inline(__always) var displacement: UInt64 { unsafe pointer.pointee.displacement }
  @inline(__always) var immediate: UInt64 { unsafe pointer.pointee.immediate }

  /// The offset of the next instruction.
  @inline(__always) var nextOffset: UInt64 { UInt64(offset) &+ UInt64(length) }
}

struct MicroFlags: OptionSet {
  var rawValue: UInt8

  static let lock = MicroFlags(rawValue: 1 << 0)
  static let repeatEqual = MicroFlags(rawValue: 1 << 1)
  static let repeatNotEqual = MicroFlags(rawValue: 1 << 2)
  static let memory = MicroFlags(rawValue: 1 << 3)
  /// A REX.W or the like that a cold handler wants to know.
  static let wide = MicroFlags(rawValue: 1 << 4)
}

/// Forms of a two-operand instruction, times width.
enum Shape: UInt8 {
  case rr8, rr16, rr32, rr64
  case rm8, rm16, rm32, rm64
  case mr8, mr16, mr32, mr64
  case ri8, ri16, ri32, ri64
  case mi8, mi16, mi32, mi64

  enum Form: UInt8 { case rr, rm, mr, ri, mi }

  init(_ form: Form, width: UInt8) {
    let size: UInt8 = width == 1 ? 0 : (width == 2 ? 1 : (width == 4 ? 2 : 3))
    self = Shape(rawValue: form.rawValue * 4 + size)!
  }
}

/// What carries an instruction out.
enum Handler: UInt16 {
  // Two operands, by shape.
  case add, or, adc, sbb, and, sub, xor, cmp, test, mov, xchg, xadd, cmpxchg
  // One operand, register or memory.
  case inc, dec, neg, not, shift, doubleShift, mul, imulWide, imul, div, idiv
  case movzx8, movzx16, movsx8, movsx16, movsx32, lea, cmov, setcc
  case push, pushImmediate, pushMemory, pop, popMemory, leave, enter, pusha, popa, pushf, popf
  case pushSegment, popSegment
  case jcc, jmp, jmpIndirect, call, callIndirect, ret, loop, jcxz
  case bitTest, bsf, bsr, tzcnt, lzcnt, popcnt, bswap, movbe, crc32
  case cbw, cwd, lahf, sahf, flagOperation, xlat, nop
  case andn, bextr, blsi, blsmsk, blsr, bzhi, mulx, pdep, pext, rorx, sarx, shlx, shrx, adcx, adox
  case decimalAdjust
  case movs, stos, lods, cmps, scas, ins, outs
  case inPort, outPort
  /// Everything rare: dispatched on `Operation` with the decoded instruction at hand.
  case cold
  /// An instruction of the vector or x87 units that the host executes.
  case hostExecuted
  /// Raises #UD.
  case undefined
  /// The bytes could not be fetched: the fault is raised when execution gets here.
  case fetchFault
}
