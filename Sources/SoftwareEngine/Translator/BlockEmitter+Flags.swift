import X86
import X86Decoder

/// How the guest's flags are to be had while the host's are something else: by the instruction that made them,
/// repeated on what it left, or from memory.
struct FlagSource: Equatable {
  enum Kind: UInt8 {
    /// Only from the host's flags.
    case none
    /// `TranslationState.savedFlags`.
    case saved
    /// CMP and TEST: again.
    case compare, compareImmediate, test, testImmediate
    /// Logic: its result compared with 0.
    case result
    /// A register less itself.
    case zero
    /// ADD, SUB and NEG: undone on a copy and done again.
    case sum, sumImmediate, difference, differenceImmediate, negation
    /// Shifts by a constant: `a` is what was shifted.
    case shiftLeft, shiftRight, shiftArithmetic

    var readsRegisters: Bool {
      switch self {
      case .none, .saved, .zero: false
      default: true
      }
    }
  }
  var kind = Kind.none
  /// Bytes of the operation.
  var size: UInt8 = 0
  /// Guest registers, or copies of such.
  var a = FlagSource.noRegister
  var b = FlagSource.noRegister
  var immediate: Int32 = 0
  /// What the result had more than `a` has now, after PUSH, POP and the like.
  var delta: Int32 = 0

  static let noRegister: UInt8 = 16
  /// The first of the four copies in `TranslationState`.
  static let firstCopy: UInt8 = 17

  static let none = FlagSource()
  static let saved = FlagSource(kind: .saved)

  /// Whether recovery leaves RCX alone.
  var isScratchFree: Bool {
    switch kind {
    case .zero, .compareImmediate, .testImmediate, .result: true
    case .compare: FlagSource.host(a) != nil || FlagSource.host(b) != nil
    case .test: FlagSource.host(b) != nil
    default: false
    }
  }

  /// A copy that is not in use.
  var freeCopy: UInt8 {
    var copy = FlagSource.firstCopy
    while copy == a || copy == b { copy += 1 }
    return copy
  }

  /// The host register of an operand; `nil` if it is in memory.
  static func host(_ operand: UInt8) -> UInt8? { operand < 16 ? Host.register(operand) : nil }

  /// Whether a constant added to `a` can be kept account of.
  var followsConstants: Bool {
    (kind == .sumImmediate || kind == .differenceImmediate) && size >= 4
  }
}

/// What an instruction does with the arithmetic flags.
enum FlagEffect {
  case none
  /// Reads some, or leaves some as they were.
  case reads
  /// Writes all without having read any.
  case overwrites
}

extension FlagEffect {
  init(_ i: Instruction) {
    switch i.operation {
    case .cld, .std, .cli, .sti, .clac, .stac, .pushf, .popf, .lahf, .sahf:
      self = .reads
      return
    default: break
    }
    guard i.traits.contains(.writesFlags) else {
      self = i.traits.contains(.readsFlags) ? .reads : .none
      return
    }
    switch i.operation {
    case .add, .sub, .cmp, .and, .or, .xor, .test, .neg, .xadd, .cmpxchg, .popcnt:
      self = .overwrites
    case .shl, .shr, .sar:
      // A count of 0 changes nothing.
      let mask: Int64 = i.operands[0].byteCount == 8 ? 63 : 31
      let isConstant =
        i.operands[1].kind == .one
        || i.operands[1].kind == .immediate && i.immediate & mask != 0
      self = isConstant ? .overwrites : .reads
    default:
      self = i.traits.isDisjoint(with: [.sse, .avx]) ? .reads : .overwrites
    }
  }
}

extension FlagSource {
  /// Whether the flags of an instruction cannot be had again without its destination as it was before.
  static func needsOperand(_ i: Instruction) -> Bool {
    guard i.operands[0].kind == .general, i.operands[0].number < 16 else { return false }
    switch i.operation {
    case .shl, .shr, .sar: return true
    case .add:
      return i.operands[1].kind == .memory
        || i.operands[1].kind == .general && i.operands[1].number == i.operands[0].number
    default: return false
    }
  }

  /// How the flags of a completed instruction that wrote all of them can be had again.
  ///
  /// - Parameter operand: the copy of its destination as it was before, if there is one.
  init(_ i: Instruction, operand: UInt8) {
    let first = i.operands[0]
    let second = i.operands[1]
    guard first.kind == .general, first.number < 16 else { return }
    let isRegister = second.kind == .general && second.number < 16
    let isImmediate = second.kind == .immediate
    let isSame = isRegister && second.number == first.number
    var kind = Kind.none
    size = UInt8(truncatingIfNeeded: first.byteCount)
    if operand != FlagSource.noRegister {
      switch i.operation {
      case .shl: self.kind = .shiftLeft
      case .shr: self.kind = .shiftRight
      case .sar: self.kind = .shiftArithmetic
      default:
        // What was added is the difference; the sum has the same flags either way round.
        self.kind = .sum
        a = first.number
        b = operand
        return
      }
      a = operand
      immediate = second.kind == .one ? 1 : Int32(truncatingIfNeeded: i.immediate)
      return
    }
    switch i.operation {
    case .cmp: kind = isRegister ? .compare : (isImmediate ? .compareImmediate : .none)
    case .test: kind = isRegister ? .test : (isImmediate ? .testImmediate : .none)
    case .xor: kind = isSame ? .zero : .result
    case .sub where isSame: kind = .zero
    case .and, .or: kind = .result
    case .add where !isSame: kind = isRegister ? .sum : (isImmediate ? .sumImmediate : .none)
    case .sub: kind = isRegister ? .difference : (isImmediate ? .differenceImmediate : .none)
    case .neg: kind = .negation
    default: break
    }
    guard kind != .none else { return }
    self.kind = kind
    if kind == .zero { return }
    a = first.number
    if isRegister, kind != .result { b = second.number }
    immediate = Int32(truncatingIfNeeded: i.immediate)
  }
}

extension BlockEmitter {
  // MARK: Around an instruction

  /// Makes ready for the current instruction: it may read the flags, or change what they would be had again from.
  mutating func prepareFlags(_ i: Instruction) {
    effect = FlagEffect(i)
    recoversAfterLookUp = false
    switch effect {
    case .none: keepSource(i)
    case .reads:
      if !i.traits.contains(.writesFlags) { keepSource(i) }
      if !isInGroup, source.isScratchFree, isPlainMemoryInstruction(i) {
        recoversAfterLookUp = true
      } else {
        recoverFlags()
      }
    case .overwrites: keepOperand(i)
    }
  }

  /// Notes what the current instruction, now emitted, did.
  mutating func finishFlags(_ i: Instruction) {
    precondition(!recoversAfterLookUp || flagsInHost, "a look-up was left out")
    recoversAfterLookUp = false
    switch effect {
    case .none: break
    case .reads: if i.traits.contains(.writesFlags) { source = .none }
    case .overwrites:
      flagsInHost = true
      source = FlagSource(i, operand: keptOperand)
    }
  }

  /// Copies the destination of an instruction whose flags cannot be had again without.
  private mutating func keepOperand(_ i: Instruction) {
    keptOperand = FlagSource.noRegister
    // SAFETY: a plan has room for one more instruction than it has.
    let next = unsafe translator.plan + index + 1
    guard unsafe next.pointee.lookUps > 0, FlagSource.needsOperand(i) else { return }
    keptOperand = source.freeCopy
    copy(i.operands[0].number, to: keptOperand)
  }

  private mutating func copy(_ register: UInt8, to copy: UInt8) {
    let register = fetch(register, into: Host.rcx)
    code.store(register, .state(StateOffset.copy(copy - FlagSource.firstCopy)))
  }

  /// Copies what the current instruction, which may change it, leaves of the source's registers.
  mutating func keepSource(_ i: Instruction) {
    guard source.kind.readsRegisters else { return }
    let killsA =
      mayWrite(i, source.a) && !(source.a == 4 && source.followsConstants && movesStack(i))
    let killsB = mayWrite(i, source.b)
    if killsA || killsB { copySource(killsA, killsB) }
  }

  /// Copies registers of the source, or does without it where that is cheaper.
  mutating func copySource(_ copiesA: Bool, _ copiesB: Bool) {
    // SAFETY: `index` is an instruction of the plan.
    let planned = unsafe translator.plan + index
    // What is emitted a second time, out of line, must leave the same behind.
    if !keepsFlags {
      unsafe planned.pointee.copiesSource = !flagsInHost || planned.pointee.lookUps > 0
    }
    guard unsafe planned.pointee.copiesSource else { return source = .none }
    if copiesA {
      let free = source.freeCopy
      copy(source.a, to: free)
      source.a = free
    }
    if copiesB {
      let free = source.freeCopy
      copy(source.b, to: free)
      source.b = free
    }
  }

  /// Has the host's flags be the guest's. Uses RCX unless the source is scratch-free.
  mutating func recoverFlags() {
    guard !flagsInHost else { return }
    emitRecovery(source)
    flagsInHost = true
  }

  /// Asks, at a look-up, whether it may change the host's flags; sees to it that they can be had again. Uses RCX.
  mutating func releaseFlags() -> Bool {
    if !flagsInHost { return true }
    if keepsFlags || effect == .reads && !recoversAfterLookUp { return false }
    if source.kind == .none {
      guard isWorthSaving else { return false }
      saveFlags()
    }
    flagsInHost = false
    return true
  }

  /// Whether so many look-ups follow, before the flags are written, that saving the flags is cheaper.
  private var isWorthSaving: Bool {
    guard !keepsFlags else { return false }
    // SAFETY: `index` is an instruction of the plan.
    let next = unsafe translator.plan + index
    return unsafe next.pointee.lookUps >= (next.pointee.flagsAreLive ? 3 : 2)
  }

  private mutating func saveFlags() {
    code.move(Host.rcx, Host.rax)
    code.bytes(0x9F, 0x0F, 0x90, 0xC0)  // lahf; seto al
    code.store(Host.rax, .state(StateOffset.savedFlags))
    code.move(Host.rax, Host.rcx)
    source = .saved
  }

  /// Whether an instruction's memory access is one look-up of `emitWithMemory`.
  private func isPlainMemoryInstruction(_ i: Instruction) -> Bool {
    guard i.hasMemoryOperand, i.hasModRM, i.encoding == .legacy else { return false }
    switch i.operation {
    case .mov, .movzx, .movsx, .movsxd, .cmovcc, .setcc, .adc, .sbb, .inc, .dec, .shl, .shr, .sar,
      .imul:
      return true
    default: return false
    }
  }

  /// Whether an instruction may change a register.
  private func mayWrite(_ i: Instruction, _ register: UInt8) -> Bool {
    guard register < 16 else { return false }
    switch i.operation {
    case .mov, .movzx, .movsx, .movsxd, .lea, .setcc, .cmovcc, .nop, .endbr, .prefetch, .prefetchw,
      .pause, .lfence, .mfence, .sfence, .jcc, .jmp, .bswap, .sarx, .shlx, .shrx, .rorx, .not:
      return writes(i, register)
    case .push, .call, .ret, .pop: return register == 4 || writes(i, register)
    case .fnstsw: return !i.hasMemoryOperand && register == 0
    default:
      if i.traits.contains(.x87) { return false }
      guard !i.traits.isDisjoint(with: [.sse, .avx]), HostInstruction.handles(i) else {
        return true
      }
      return HostInstruction.generalField(i) != .none && writes(i, register)
    }
  }

  /// Whether an instruction changes RSP by `moveStack` alone.
  private func movesStack(_ i: Instruction) -> Bool {
    switch i.operation {
    case .push, .call, .ret: true
    case .pop: !writes(i, 4)
    default: false
    }
  }

  /// Adds a constant to the guest's RSP.
  mutating func moveStack(_ distance: Int) {
    code.address(Host.guestRSP, base: Host.guestRSP, Int32(distance), isWide: is64Bit)
    if source.a == 4 { source.delta &-= Int32(distance) }
  }

  // MARK: Recovery

  /// Leaves the host's flags as the guest's are. Uses RCX and nothing else.
  mutating func emitRecovery(_ source: FlagSource) {
    switch source.kind {
    case .none: preconditionFailure("the flags are nowhere")
    case .saved:
      code.move(Host.rcx, Host.rax)
      code.load(Host.rax, .state(StateOffset.savedFlags))
      code.bytes(0x04, 0x7F, 0x9E)  // add al, 127; sahf
      code.move(Host.rax, Host.rcx)
    case .compare:
      if let a = FlagSource.host(source.a) {
        emitArithmetic(0x38, source.size, a, operand(source.b))
      } else {
        let b = load(source.b)
        emitArithmetic(0x38, source.size, b, operand(source.a), isToMemory: true)
      }
    case .compareImmediate:
      emitArithmetic(7, source.size, immediate: source.immediate, operand(source.a))
    case .test:
      let b = load(source.b)
      code.legacy(opcode(0x84, source.size), b, operand(source.a))
    case .testImmediate:
      code.legacy(opcode(0xF6, source.size), 0, operand(source.a))
      code.immediate(Int64(source.immediate), byteCount: Int(min(source.size, 4)))
    case .result:
      if let a = FlagSource.host(source.a) {
        code.legacy(opcode(0x84, source.size), a, .register(a))
      } else {
        emitArithmetic(7, source.size, immediate: 0, operand(source.a))
      }
    case .zero: code.bytes(0x39, 0xC0)  // cmp eax, eax
    case .sum:
      code.load(Host.rcx, operand(source.a))
      emitArithmetic(0x28, source.size, Host.rcx, operand(source.b))
      emitArithmetic(0x00, source.size, Host.rcx, operand(source.b))
    case .difference:
      if source.size >= 4, let a = FlagSource.host(source.a), let b = FlagSource.host(source.b) {
        code.address(Host.rcx, base: a, index: b, 0)
      } else {
        code.load(Host.rcx, operand(source.a))
        emitArithmetic(0x00, source.size, Host.rcx, operand(source.b))
      }
      emitArithmetic(0x28, source.size, Host.rcx, operand(source.b))
    case .sumImmediate:
      emitAddress(source, less: Int64(source.immediate))
      emitArithmetic(0, source.size, immediate: source.immediate, .register(Host.rcx))
    case .differenceImmediate:
      emitAddress(source, less: -Int64(source.immediate))
      emitArithmetic(5, source.size, immediate: source.immediate, .register(Host.rcx))
    case .shiftLeft, .shiftRight, .shiftArithmetic:
      code.load(Host.rcx, operand(source.a))
      let operation: UInt8 =
        switch source.kind {
        case .shiftLeft: 4
        case .shiftRight: 5
        default: 7
        }
      code.legacy(opcode(0xC0, source.size), operation, .register(Host.rcx))
      code.byte(UInt8(truncatingIfNeeded: source.immediate))
    case .negation:
      code.load(Host.rcx, operand(source.a))
      code.legacy(opcode(0xF6, source.size), 3, .register(Host.rcx))
      code.legacy(opcode(0xF6, source.size), 3, .register(Host.rcx))
    }
  }

  /// The result of an addition or subtraction less `difference`, in RCX.
  private mutating func emitAddress(_ source: FlagSource, less difference: Int64) {
    code.address(Host.rcx, base: load(source.a), distance: Int64(source.delta) - difference)
  }

  private func operand(_ number: UInt8) -> HostOperand {
    if let host = FlagSource.host(number) { return .register(host) }
    if number >= FlagSource.firstCopy {
      return .state(StateOffset.copy(number - FlagSource.firstCopy))
    }
    return .state(StateOffset.register(number))
  }

  /// An operand in a register: its own, or RCX.
  private mutating func load(_ number: UInt8) -> UInt8 {
    if let host = FlagSource.host(number) { return host }
    code.load(Host.rcx, operand(number))
    return Host.rcx
  }

  /// An opcode whose lowest bit tells bytes from words.
  private func opcode(_ base: UInt8, _ size: UInt8) -> HostOpcode {
    HostOpcode(
      opcode: size == 1 ? base : base + 1, isWord: size == 2, isWide: size == 8, needsREX: size == 1
    )
  }

  /// ADD (00), SUB (28) or CMP (38) of a register and an operand, which comes first if `isToMemory`.
  private mutating func emitArithmetic(
    _ base: UInt8, _ size: UInt8, _ register: UInt8, _ rm: HostOperand, isToMemory: Bool = false
  ) {
    code.legacy(opcode(isToMemory ? base : base + 2, size), register, rm)
  }

  /// ADD (0), SUB (5) or CMP (7) of an operand and an immediate.
  private mutating func emitArithmetic(
    _ operation: UInt8, _ size: UInt8, immediate: Int32, _ rm: HostOperand
  ) {
    if size > 1, immediate == Int32(Int8(truncatingIfNeeded: immediate)) {
      var opcode = opcode(0x82, size)
      opcode.opcode = 0x83
      code.legacy(opcode, operation, rm)
      code.byte(UInt8(truncatingIfNeeded: immediate))
    } else {
      code.legacy(opcode(0x80, size), operation, rm)
      code.immediate(Int64(immediate), byteCount: Int(min(size, 4)))
    }
  }
}
