import X86Decoder

/// What a stub needs to know of a vector or x87 instruction.
struct HostInstruction {
  enum Field { case none, reg, rm }

  /// The instruction with its memory operand at [RSI] and its general register made RAX.
  var bytes = InstructionBytes()
  /// Which general register stands in for RAX; `nil` for none.
  var general: UInt8?
  /// Vector registers that are loaded before and stored after; a superset of those used.
  var vectors: UInt16 = 0
  var isVEX = false
  var memorySize: UInt16 = 0
  var reads = false
  var writes = false
  var alignment: UInt16 = 1
  /// Touches the x87 or MMX registers.
  var isX87 = false
  /// An escape (D8…DF) or WAIT, and not MMX.
  var isEscape = false
  var isWait = false
  var waits = true
  /// Leaves the x87 instruction and data pointers alone.
  var isControl = false
  var usesFlags = false
  /// PCMPxSTRx: RAX, RDX in; RCX out.
  var comparesStrings = false
  var usesMXCSR = false
  /// FOP: the low three bits of the escape and ModRM.
  var opcode: UInt16 = 0
}

/// The bytes of one instruction, in place: at most 15.
struct InstructionBytes {
  private(set) var storage: InlineArray<16, UInt8> = .init(repeating: 0)
  private(set) var count = 0

  mutating func append(_ byte: UInt8) {
    storage[count] = byte
    count += 1
  }

  mutating func removeLast() { count -= 1 }

  var array: [UInt8] { (0..<count).map { storage[$0] } }
}

extension HostInstruction {
  /// - Parameter is64Bit: whether the guest runs in 64-bit mode, as the stub always does.
  init(from i: Instruction, is64Bit: Bool) {
    var i = i
    // Elsewhere W does not widen general registers; in 64-bit mode it would.
    if !is64Bit, HostInstruction.generalField(i) != .none { i.prefixes.remove(.rexW) }
    isVEX = i.encoding == .vex
    readMemory(i)
    if i.map == .primary {
      readEscape(i)
    } else {
      isX87 = !i.traits.isDisjoint(with: [.x87, .mmx])
      readVector(i, is64Bit: is64Bit)
    }
  }

  /// True for what the vector unit and not the interpreter executes.
  static func handles(_ i: Instruction) -> Bool {
    guard !i.traits.isDisjoint(with: [.x87, .mmx, .sse, .avx]) else { return false }
    switch i.operation {
    case .fxsave, .fxrstor, .xsave, .xsaveopt, .xsavec, .xsaves, .xrstor, .xrstors, .ldmxcsr,
      .stmxcsr, .vldmxcsr, .vstmxcsr, .prefetch, .prefetchw, .lfence, .mfence, .sfence, .pause,
      .clflush, .clflushopt, .clwb, .nop, .mov, .crc32, .popcnt, .movbe, .xgetbv, .xsetbv,
      .maskmovq, .maskmovdqu, .vmaskmovdqu, .andn, .bextr, .blsi, .blsmsk, .blsr, .bzhi, .mulx,
      .pdep, .pext, .rorx, .sarx, .shlx, .shrx, .vmaskmovps, .vmaskmovpd, .vpmaskmovd, .vpmaskmovq:
      return false
    // Gathers go element by element.
    default: return !i.traits.contains(.vectorIndex)
    }
  }

  private mutating func readMemory(_ i: Instruction) {
    guard i.hasMemoryOperand else { return }
    for position in 0..<4 where i.operands[position].kind == .memory {
      let operand = i.operands[position]
      memorySize = operand.byteCount
      reads = operand.access != .write
      writes = operand.access.writes
    }
    if i.traits.contains(.alignedOperand) { alignment = memorySize }
  }

  // MARK: x87

  private mutating func readEscape(_ i: Instruction) {
    isX87 = true
    isEscape = true
    isWait = i.opcode == 0x9B
    guard !isWait else { return }
    let group = i.modRM >> 3 & 7
    let form = UInt16(i.opcode & 7) << 8 | UInt16(i.modRM)
    opcode = form
    // The 14- and 94-byte images are those of a 66 prefix.
    if memorySize == 14 || memorySize == 94 { bytes.append(0x66) }
    bytes.append(i.opcode)
    if i.hasMemoryOperand {
      bytes.append(group << 3 | 6)
      // FLDENV, FLDCW, FNSTENV, FNSTCW; FRSTOR, FNSAVE, FNSTSW.
      isControl = (i.opcode == 0xD9 && group >= 4) || (i.opcode == 0xDD && group >= 4)
      waits = !((i.opcode == 0xD9 && group >= 6) || (i.opcode == 0xDD && group >= 6))
    } else {
      bytes.append(0xC0 | i.modRM)
      let isStatus = i.opcode == 0xDF && i.modRM == 0xE0
      // FNCLEX, FNINIT and their obsolete neighbours.
      let isDB = i.opcode == 0xDB && group == 4
      isControl = isStatus || isDB
      waits = !isControl
      if isStatus { general = 0 }
      usesFlags =
        ((i.opcode == 0xDB || i.opcode == 0xDF) && (group == 5 || group == 6))
        || ((i.opcode == 0xDA || i.opcode == 0xDB) && group < 4)
    }
  }

  // MARK: Vectors

  private mutating func readVector(_ i: Instruction, is64Bit: Bool) {
    let field = HostInstruction.generalField(i)
    var reg = i.reg
    var rm = i.hasMemoryOperand ? 6 : i.rm
    if !i.hasMemoryOperand, field != .rm { vectors |= 1 << UInt16(rm & 15) }
    if field != .reg { vectors |= 1 << UInt16(reg & 15) }
    if field == .reg {
      general = reg
      reg = 0
    } else if field == .rm, !i.hasMemoryOperand {
      general = rm
      rm = 0
    }
    if isVEX { vectors |= 1 << UInt16(i.vvvv & 15) }
    readImplicit(i)
    if isVEX { appendVEX(i, reg, rm) } else { appendLegacy(i, reg, rm) }
    bytes.append((i.hasMemoryOperand ? 0 : 0xC0) | (reg & 7) << 3 | (rm & 7))
    appendImmediate(i)
    usesMXCSR = HostInstruction.computes(i)
    // EMMS and VZEROUPPER have no ModRM byte.
    if i.map == .map0F, i.opcode == 0x77 {
      bytes.removeLast()
      // Outside 64-bit mode VZEROALL and VZEROUPPER leave registers 8…15 alone.
      vectors = isVEX ? (is64Bit ? 0xFFFF : 0xFF) : 0
    }
  }

  private mutating func appendLegacy(_ i: Instruction, _ reg: UInt8, _ rm: UInt8) {
    if i.mandatoryPrefix != 0 { bytes.append(i.mandatoryPrefix) }
    let wide: UInt8 = i.prefixes.contains(.rexW) ? 8 : 0
    let rex = wide | (reg & 8) >> 1 | (rm & 8) >> 3
    if rex != 0 { bytes.append(0x40 | rex) }
    bytes.append(0x0F)
    if i.map == .map0F38 { bytes.append(0x38) }
    if i.map == .map0F3A { bytes.append(0x3A) }
    bytes.append(i.opcode)
  }

  private mutating func appendVEX(_ i: Instruction, _ reg: UInt8, _ rm: UInt8) {
    let prefix: UInt8 =
      switch i.mandatoryPrefix {
      case 0x66: 1
      case 0xF3: 2
      case 0xF2: 3
      default: 0
      }
    let wide: UInt8 = i.prefixes.contains(.rexW) ? 0x80 : 0
    let long: UInt8 = i.vectorLength == 32 ? 4 : 0
    bytes.append(0xC4)
    bytes.append((reg & 8 == 0 ? 0x80 : 0) | 0x40 | (rm & 8 == 0 ? 0x20 : 0) | i.map.rawValue)
    bytes.append(wide | (~i.vvvv & 15) << 3 | long | prefix)
    bytes.append(i.opcode)
  }

  private mutating func appendImmediate(_ i: Instruction) {
    guard HostInstruction.hasImmediate(i) else { return }
    let value = HostInstruction.immediateByte(i)
    if HostInstruction.namesFourthRegister(i) { vectors |= 1 << UInt16(value >> 4) }
    bytes.append(value)
  }

  static func hasImmediate(_ i: Instruction) -> Bool {
    switch (i.map, i.opcode) {
    case (.map0F3A, _), (.map0F, 0x70...0x73), (.map0F, 0xC2), (.map0F, 0xC4...0xC6): true
    default: false
    }
  }

  /// The immediate; VBLENDV's fourth register stands in it.
  static func immediateByte(_ i: Instruction) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: i.immediate)
    guard namesFourthRegister(i) else { return value }
    return (i.operands[3].kind == .vector ? i.operands[3].number : value >> 4) << 4
  }

  private static func namesFourthRegister(_ i: Instruction) -> Bool {
    i.encoding == .vex && i.map == .map0F3A && (0x4A...0x4C).contains(i.opcode)
  }

  private mutating func readImplicit(_ i: Instruction) {
    switch (i.map, i.opcode) {
    case (.map0F, 0x2E), (.map0F, 0x2F): usesFlags = true
    case (.map0F38, 0x17): usesFlags = true
    case (.map0F38, 0x0E), (.map0F38, 0x0F): usesFlags = isVEX
    case (.map0F38, 0x10), (.map0F38, 0x14), (.map0F38, 0x15), (.map0F38, 0xCB): vectors |= 1
    case (.map0F3A, 0x60...0x63):
      usesFlags = true
      comparesStrings = true
      vectors |= 1
    default: break
    }
  }

  /// Where a general register stands among the operands.
  static func generalField(_ i: Instruction) -> Field {
    let isScalar = i.mandatoryPrefix == 0xF3 || i.mandatoryPrefix == 0xF2
    switch (i.map, i.opcode) {
    case (.map0F, 0x50), (.map0F, 0xD7), (.map0F, 0xC5): return .reg
    case (.map0F, 0x2C), (.map0F, 0x2D): return isScalar ? .reg : .none
    case (.map0F, 0x2A): return isScalar ? .rm : .none
    case (.map0F, 0x6E), (.map0F, 0xC4): return .rm
    case (.map0F, 0x7E): return i.mandatoryPrefix == 0xF3 ? .none : .rm
    case (.map0F3A, 0x14...0x17), (.map0F3A, 0x20), (.map0F3A, 0x22): return .rm
    default: return .none
    }
  }

  /// Whether the result depends on MXCSR, or its flags on the result.
  private static func computes(_ i: Instruction) -> Bool {
    switch (i.map, i.opcode) {
    case (.map0F, 0x2A), (.map0F, 0x2C...0x2F), (.map0F, 0x51...0x53), (.map0F, 0x58...0x5F),
      (.map0F, 0x7C), (.map0F, 0x7D), (.map0F, 0xC2), (.map0F, 0xD0), (.map0F, 0xE6):
      true
    case (.map0F38, 0x13), (.map0F38, 0x96...0xBF): true
    case (.map0F3A, 0x08...0x0B), (.map0F3A, 0x1D), (.map0F3A, 0x40), (.map0F3A, 0x41): true
    default: false
    }
  }
}
