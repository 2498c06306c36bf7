/// The width of code that a code segment selects.
public enum CodeMode: UInt8, Sendable, CaseIterable {
  case bits16 = 2
  case bits32 = 4
  case bits64 = 8
}

/// The opcode map an instruction came from.
public enum OpcodeMap: UInt8, Sendable {
  /// One-byte opcodes, x87 escapes included.
  case primary
  case map0F
  case map0F38
  case map0F3A
}

/// How the opcode was spelled.
public enum Encoding: UInt8, Sendable {
  case legacy
  case vex
  case evex
}

/// Legacy and REX prefixes as they stood; for VEX, `rexW` is VEX.W.
public struct Prefixes: OptionSet, Hashable, Sendable {
  public var rawValue: UInt16

  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// F0
  @inlinable public static var lock: Self { Self(rawValue: 1 << 0) }
  /// F3, where it is not a mandatory prefix
  @inlinable public static var repeatEqual: Self { Self(rawValue: 1 << 1) }
  /// F2, where it is not a mandatory prefix
  @inlinable public static var repeatNotEqual: Self { Self(rawValue: 1 << 2) }
  /// 66, mandatory or not
  @inlinable public static var operandSize: Self { Self(rawValue: 1 << 3) }
  /// 67
  @inlinable public static var addressSize: Self { Self(rawValue: 1 << 4) }
  /// Any REX prefix: byte registers 4…7 are SPL, BPL, SIL, DIL and not AH, CH, DH, BH
  @inlinable public static var rex: Self { Self(rawValue: 1 << 5) }
  @inlinable public static var rexW: Self { Self(rawValue: 1 << 6) }
}

/// One operand, resolved: what it is, which one, how wide and how it is used.
public struct Operand: Hashable, Sendable {
  public enum Kind: UInt8, Sendable {
    case none
    /// A general register; `byteCount` 1, 2, 4 or 8. With `byteCount` 1, numbers 16…19 are AH, CH, DH, BH.
    case general
    /// The instruction's memory operand.
    case memory
    /// `Instruction.immediate`, sign- or zero-extended as the manual says.
    case immediate
    /// `Instruction.immediate2`: ENTER's and EXTRQ's second immediate.
    case secondImmediate
    /// The constant 1 of the D0/D1 shifts.
    case one
    /// A branch displacement, in `Instruction.immediate`, from the next instruction.
    case relative
    /// A far pointer in the code: offset in `immediate`, selector in `immediate2`.
    case farPointer
    case segment
    case control
    case debug
    /// An XMM or YMM register; `byteCount` is what is used of it.
    case vector
    case mmx
    /// ST(number)
    case x87
    /// The byte or word at rSI or rDI of a string instruction; `number` is 6 or 7.
    case string
    /// An AVX-512 mask register (decoded for its length only).
    case mask
    case bound
  }

  public enum Access: UInt8, Sendable {
    case none
    case read
    case write
    case readWrite

    @inlinable public var reads: Bool { self == .read || self == .readWrite }
    @inlinable public var writes: Bool { self == .write || self == .readWrite }
  }

  public var kind: Kind
  public var number: UInt8
  /// In bytes; 0 where the width depends on state (XSAVE areas).
  public var byteCount: UInt16
  public var access: Access

  @inlinable
  public init(kind: Kind = .none, number: UInt8 = 0, byteCount: UInt16 = 0, access: Access = .none)
  {
    self.kind = kind
    self.number = number
    self.byteCount = byteCount
    self.access = access
  }
}

/// A decoded instruction: everything that its bytes say, and nothing of the CPU's state.
public struct Instruction: Sendable {
  /// `base` and `index` where there is none.
  @inlinable public static var noRegister: UInt8 { 16 }
  /// `base` for RIP-relative operands; `displacement` then counts from the NEXT instruction.
  @inlinable public static var ripRegister: UInt8 { 17 }

  public var operation: Operation
  /// In bytes, 1…15, all prefixes and immediates included.
  public var length: UInt8
  public var map: OpcodeMap
  public var opcode: UInt8
  public var encoding: Encoding
  public var prefixes: Prefixes
  /// 0, 0x66, 0xF3 or 0xF2, where the prefix selects the instruction.
  public var mandatoryPrefix: UInt8
  /// Effective operand size in bytes: 2, 4 or 8 (1 for byte forms), the 64-bit defaults of near branches and PUSH applied.
  public var operandSize: UInt8
  /// Effective address size in bytes: 2, 4 or 8.
  public var addressSize: UInt8
  public var hasModRM: Bool
  public var modRM: UInt8
  /// Whether there is a memory operand by ModRM or moffs (string operands do not count).
  public var hasMemoryOperand: Bool
  /// ModRM.reg with REX.R or VEX.R.
  public var reg: UInt8
  /// ModRM.rm with REX.B or VEX.B, where mod is 3; opcode+r registers too.
  public var rm: UInt8
  /// VEX.vvvv, not inverted.
  public var vvvv: UInt8
  /// 16, 32 or 64 for VEX and EVEX; 16 for SSE; 0 otherwise.
  public var vectorLength: UInt8
  /// The memory operand is segment:[base + (index << scale) + displacement], modulo the address size.
  public var base: UInt8
  public var index: UInt8
  public var scale: UInt8
  /// 0…5 (es cs ss ds fs gs): the override, or else the default of the base register. In 64-bit mode, overrides other than FS and GS are ignored.
  public var segment: UInt8
  /// Whether a segment override prefix was in effect.
  public var hasSegmentOverride: Bool
  public var displacement: Int64
  public var immediate: Int64
  public var immediate2: UInt16
  public var operands: InlineArray<4, Operand>
  /// The CPU feature that must be offered for this not to be #UD.
  public var feature: InstructionFeature
  public var traits: InstructionTraits
}

/// What an executor has to know of an instruction beyond its operands.
public struct InstructionTraits: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// LOCK is allowed with a memory destination.
  @inlinable public static var lockable: Self { Self(rawValue: 1 << 0) }
  /// Ends a block: a branch, call, return, interrupt, HLT or the like.
  @inlinable public static var changesControlFlow: Self { Self(rawValue: 1 << 1) }
  /// x87, MMX, SSE or AVX: subject to CR0.TS, CR0.EM, CR4.OSFXSR or XCR0.
  @inlinable public static var x87: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var mmx: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var sse: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var avx: Self { Self(rawValue: 1 << 5) }
  /// A legacy SSE operand that must be aligned to its size, else #GP(0); and the aligned moves of AVX.
  @inlinable public static var alignedOperand: Self { Self(rawValue: 1 << 6) }
  /// Writes some of CF, PF, AF, ZF, SF, OF.
  @inlinable public static var writesFlags: Self { Self(rawValue: 1 << 7) }
  /// Reads some of the arithmetic flags.
  @inlinable public static var readsFlags: Self { Self(rawValue: 1 << 8) }
  /// May raise a SIMD floating-point exception (#XM).
  @inlinable public static var raisesSIMDException: Self { Self(rawValue: 1 << 9) }
  /// A string instruction that REP repeats.
  @inlinable public static var repeatable: Self { Self(rawValue: 1 << 10) }
  /// Legal at CPL 0 only, always #GP(0) elsewhere.
  @inlinable public static var privileged: Self { Self(rawValue: 1 << 11) }
  /// Gathers: VSIB addressing.
  @inlinable public static var vectorIndex: Self { Self(rawValue: 1 << 12) }
  /// An x87 instruction that does not wait for pending exceptions (FNINIT, FNSTSW …).
  @inlinable public static var noWait: Self { Self(rawValue: 1 << 13) }
  /// An x87 instruction that leaves FIP, FDP and FOP alone (control instructions).
  @inlinable public static var x87Control: Self { Self(rawValue: 1 << 14) }
  /// #UD in real and virtual-8086 mode.
  @inlinable public static var protectedModeOnly: Self { Self(rawValue: 1 << 15) }
}

/// CPUID features that instructions belong to.
public enum InstructionFeature: UInt8, Sendable, CaseIterable {
  case base, cmov, cmpxchg8b, cmpxchg16b, fpu, mmx, sse, sse2, sse3, ssse3, sse41, sse42, sse4a
  case popcnt, lzcnt, bmi1, bmi2, movbe, adx, aes, pclmulqdq, sha, avx, avx2, fma, f16c, fma4, xop
  case tbm
  case vaes, vpclmulqdq, gfni, avx512, avxVNNI
  case xsave, xsaveopt, xsavec, xsaves, fsgsbase, rdrand, rdseed, rdtscp, rdpid, clflush
  case clflushopt, clwb
  case prefetchw, threeDNow, longMode, syscall, sysenter, invpcid, monitor, smap, svm, vmx, pku
  case cet, rtm, waitpkg
  case movdiri, movdir64b, clzero, monitorx, wbnoinvd, mcommit, serialize, enqcmd, ptwrite, rdpru
  case fxsr, lahf64, keyLocker, tsc, uintr, hreset, other
}
