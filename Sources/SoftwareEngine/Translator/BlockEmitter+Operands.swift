import X86
import X86Decoder

/// Instructions with a ModRM byte: the guest's own, with registers renumbered and the memory operand replaced.
extension BlockEmitter {
  /// How an instruction uses its register and its register-or-memory operand.
  private struct Form {
    /// ModRM.reg names a general register, and not more of the opcode.
    var hasRegister = true
    var isByteRegister = false
    var isByteRM = false
    var writesRegister = false
    var writesRM = false
    var immediateByteCount = 0
    /// Bytes of a memory operand.
    var size = 0
    /// The count is in CL.
    var usesCL = false
  }

  mutating func emitGeneral(_ i: Instruction) -> Outcome {
    if !i.hasModRM { return emitImplied(i) }
    if i.map == .primary, i.opcode == 0x8C || i.opcode == 0x8E { return .refused }
    var form = Form()
    guard describe(i, &form) else { return .refused }
    var opcode = HostOpcode(
      map: i.map.rawValue, opcode: i.opcode, mandatory: i.mandatoryPrefix,
      isWord: i.prefixes.contains(.operandSize) && i.mandatoryPrefix != 0x66,
      isWide: i.prefixes.contains(.rexW))
    // XCHG locks by itself; elsewhere the prefix counts.
    opcode.isLocked = i.prefixes.contains(.lock)
    if i.hasMemoryOperand {
      // BT and the like with a register offset.
      let isBitString = i.map == .map0F && i.opcode & 0xE7 == 0xA3
      return isBitString ? emitBitString(i, opcode) : emitWithMemory(i, form, opcode)
    }
    if opcode.isLocked { return .refused }
    return emitWithRegisters(i, form, opcode)
  }

  /// Reads off the operands what goes where.
  private func describe(_ i: Instruction, _ form: inout Form) -> Bool {
    var isRMFirst = true
    let isEven = i.opcode & 1 == 0
    switch i.map {
    case .primary:
      switch i.opcode {
      case 0x00..<0x40:
        isRMFirst = i.opcode & 2 == 0
        form.isByteRegister = isEven
        form.isByteRM = isEven
      case 0x63: isRMFirst = false
      case 0x69, 0x6B:
        isRMFirst = false
        form.immediateByteCount = i.opcode == 0x6B ? 1 : wideImmediate(i)
      case 0x80...0x83:
        form.hasRegister = false
        form.isByteRM = isEven
        form.immediateByteCount = i.opcode == 0x81 ? wideImmediate(i) : 1
        if i.opcode == 0x82 { return false }
      case 0x84...0x89:
        form.isByteRegister = isEven
        form.isByteRM = isEven
      case 0x8A, 0x8B:
        isRMFirst = false
        form.isByteRegister = isEven
        form.isByteRM = isEven
      case 0xC0, 0xC1, 0xC6, 0xC7:
        form.hasRegister = false
        form.isByteRM = isEven
        form.immediateByteCount = i.opcode == 0xC7 ? wideImmediate(i) : 1
      case 0xD0...0xD3:
        form.hasRegister = false
        form.isByteRM = isEven
        form.usesCL = i.opcode >= 0xD2
      case 0xF6, 0xF7:
        form.hasRegister = false
        form.isByteRM = isEven
        if i.operation == .test { form.immediateByteCount = isEven ? 1 : wideImmediate(i) }
      case 0xFE, 0xFF:
        form.hasRegister = false
        form.isByteRM = isEven
      default: return false
      }
    case .map0F:
      switch i.opcode {
      case 0x40...0x4F, 0xAF, 0xB8, 0xBC, 0xBD: isRMFirst = false
      case 0xB6, 0xBE:
        isRMFirst = false
        form.isByteRM = true
      case 0xB7, 0xBF: isRMFirst = false
      case 0x90...0x9F:
        form.hasRegister = false
        form.isByteRM = true
      case 0xA3, 0xAB, 0xB3, 0xBB: break
      case 0xBA:
        form.hasRegister = false
        form.immediateByteCount = 1
      case 0xA4, 0xAC: form.immediateByteCount = 1
      case 0xA5, 0xAD: form.usesCL = true
      case 0xB0, 0xB1, 0xC0, 0xC1:
        form.isByteRegister = isEven
        form.isByteRM = isEven
      case 0xC7:
        form.hasRegister = false
      default: return false
      }
    case .map0F38:
      switch i.opcode {
      case 0xF0, 0xF1:
        let isChecksum = i.operation == .crc32
        isRMFirst = !isChecksum && i.opcode == 0xF1
        form.isByteRM = isChecksum && i.opcode == 0xF0
      case 0xF6: isRMFirst = false
      default: return false
      }
    case .map0F3A: return false
    }
    let first = i.operands[0].access.writes
    let second = i.operands[1].access.writes
    form.writesRM = isRMFirst ? first : second
    form.writesRegister = form.hasRegister && (isRMFirst ? second : first)
    if i.operation == .xchg || i.operation == .xadd {
      form.writesRM = true
      form.writesRegister = true
    }
    for position in 0..<4 where i.operands[position].kind == .memory {
      form.size = Int(i.operands[position].byteCount)
    }
    if i.operation == .cmpxchg8b || i.operation == .cmpxchg16b {
      form.size = i.operation == .cmpxchg16b ? 16 : 8
      form.writesRM = true
    }
    return true
  }

  private func wideImmediate(_ i: Instruction) -> Int {
    i.prefixes.contains(.operandSize) && !i.prefixes.contains(.rexW) ? 2 : 4
  }

  // MARK: Registers

  /// A byte register 4…7 without REX is AH, CH, DH or BH.
  private func isHigh(_ number: UInt8, isByte: Bool, _ i: Instruction) -> Bool {
    isByte && !i.prefixes.contains(.rex) && (4..<8).contains(number)
  }

  private mutating func emitWithRegisters(
    _ i: Instruction, _ form: Form, _ opcode: HostOpcode
  ) -> Outcome {
    var opcode = opcode
    let isHighReg = form.hasRegister && isHigh(i.reg, isByte: form.isByteRegister, i)
    let isHighRM = isHigh(i.rm, isByte: form.isByteRM, i)
    if isHighReg || isHighRM {
      return emitWithHighRegisters(i, form, opcode, isHighReg: isHighReg, isHighRM: isHighRM)
    }
    let isLong = !opcode.isWide && !opcode.isWord
    if i.operation == .mov, !opcode.isWord, emitMove(i, opcode) { return .emitted }
    // The register-or-memory operand.
    var rm: HostOperand
    var rmStore = false
    if let host = Host.register(i.rm) {
      rm = .register(host)
      if form.isByteRM, (4..<8).contains(host) { opcode.needsREX = true }
    } else if (form.writesRM && isLong && !form.isByteRM) || mustBeRegister(i) {
      // A 32-bit result clears the upper half.
      if !isPureLoad(i) { code.load(scratch, .state(StateOffset.register(i.rm))) }
      rm = .register(scratch)
      rmStore = form.writesRM
    } else {
      rm = .state(StateOffset.register(i.rm))
    }
    // The register operand.
    var reg = (i.modRM >> 3) & 7
    var regStore: UInt8?
    if form.hasRegister {
      if let host = Host.register(i.reg) {
        reg = host
        if form.isByteRegister, (4..<8).contains(host) { opcode.needsREX = true }
      } else {
        reg = rm.kind == .register && rm.number == scratch ? Host.rcx : scratch
        if !isPureLoad(i) || !form.writesRegister {
          code.load(reg, .state(StateOffset.register(i.reg)))
        }
        if form.writesRegister { regStore = reg }
      }
    }
    if form.usesCL {
      // RCX may be in use only for an operand of SHLD in memory beside another.
      guard reg != Host.rcx || !form.hasRegister else { return .refused }
      code.move(Host.rcx, Host.guestRCX, isWide: false)
    }
    if i.operation == .div || i.operation == .idiv { noteFault(i) }
    code.legacy(opcode, reg, rm)
    code.immediate(i.immediate, byteCount: form.immediateByteCount)
    // XADD of a register with itself leaves the sum.
    if let regStore { code.store(regStore, .state(StateOffset.register(i.reg))) }
    if rmStore { code.store(scratch, .state(StateOffset.register(i.rm))) }
    return .emitted
  }

  /// MOV of a whole register to another, of which one lives in memory, straight from or to there.
  private mutating func emitMove(_ i: Instruction, _ opcode: HostOpcode) -> Bool {
    guard i.opcode == 0x89 || i.opcode == 0x8B else { return false }
    let (to, from) = i.opcode == 0x89 ? (i.rm, i.reg) : (i.reg, i.rm)
    if let host = Host.register(to), Host.register(from) == nil {
      code.legacy(
        HostOpcode(opcode: 0x8B, isWide: opcode.isWide), host, .state(StateOffset.register(from)))
      return true
    }
    // A narrower store would leave the upper half.
    guard opcode.isWide, Host.register(to) == nil, let host = Host.register(from) else {
      return false
    }
    code.store(host, .state(StateOffset.register(to)))
    return true
  }

  /// A register to work in: in an access group R14 holds the host address.
  private var scratch: UInt8 { isInGroup ? Host.rcx : Host.r14 }

  /// What differs between a register and memory beyond the operand's place.
  private func mustBeRegister(_ i: Instruction) -> Bool {
    switch i.operation {
    case .bt, .bts, .btr, .btc, .xchg, .xadd, .cmpxchg, .shld, .shrd: true
    default: false
    }
  }

  private mutating func emitWithHighRegisters(
    _ i: Instruction, _ form: Form, _ opcode: HostOpcode, isHighReg: Bool, isHighRM: Bool
  ) -> Outcome {
    // No REX prefix may stand beside AH…BH. CH and CL are used in RCX, a copy of the guest's.
    let regIsCX = form.hasRegister && i.reg == (isHighReg ? 5 : 1)
    let rmIsCX = i.rm == (isHighRM ? 5 : 1)
    let regHost = isHighReg || regIsCX ? i.reg : Host.register(i.reg)
    let rmHost = isHighRM || rmIsCX ? i.rm : Host.register(i.rm)
    guard let rmHost, rmHost < 8, !opcode.isWide, !form.usesCL else { return .refused }
    if i.operation == .div || i.operation == .idiv, rmIsCX || regIsCX { return .refused }
    if !isHighRM, form.isByteRM, rmHost >= 4 { return .refused }
    var reg = (i.modRM >> 3) & 7
    if form.hasRegister {
      guard let regHost, regHost < 8 else { return .refused }
      if !isHighReg, form.isByteRegister, regHost >= 4 { return .refused }
      reg = regHost
    }
    if i.operation == .div || i.operation == .idiv { noteFault(i) }
    if regIsCX || rmIsCX { code.move(Host.rcx, Host.guestRCX) }
    code.legacy(opcode, reg, .register(rmHost))
    code.immediate(i.immediate, byteCount: form.immediateByteCount)
    if regIsCX && form.writesRegister || rmIsCX && form.writesRM {
      code.move(Host.guestRCX, Host.rcx)
    }
    return .emitted
  }

  // MARK: Memory

  private mutating func emitWithMemory(
    _ i: Instruction, _ form: Form, _ opcode: HostOpcode
  ) -> Outcome {
    var opcode = opcode
    let isHighReg = form.hasRegister && isHigh(i.reg, isByte: form.isByteRegister, i)
    if isHighReg, i.reg == 5 || opcode.isWide { return .refused }
    let isPair = i.operation == .cmpxchg8b || i.operation == .cmpxchg16b
    guard form.size > 0, emitLinear(i) else { return .refused }
    let isStore = form.writesRM
    emitLookUp(i, size: form.size, isWrite: isStore)
    if recoversAfterLookUp { recoverFlags() }
    var rm = HostOperand.guest
    var reg = (i.modRM >> 3) & 7
    var regStore: UInt8?
    if form.hasRegister {
      if isHighReg {
        // No REX prefix: the address goes to RCX.
        code.address(Host.rcx, base: Host.r14, index: Host.rcx, 0)
        rm = .base(Host.rcx)
        reg = i.reg
      } else if let host = Host.register(i.reg) {
        reg = host
        if form.isByteRegister, (4..<8).contains(host) { opcode.needsREX = true }
      } else {
        code.address(Host.rcx, base: Host.r14, index: Host.rcx, 0)
        code.load(Host.r14, .state(StateOffset.register(i.reg)))
        rm = .base(Host.rcx)
        reg = Host.r14
        if form.writesRegister { regStore = reg }
      }
    }
    if form.usesCL || isPair {
      guard reg != Host.r14 || !form.hasRegister else { return .refused }
      code.address(Host.r14, base: Host.r14, index: Host.rcx, 0)
      code.move(Host.rcx, Host.guestRCX)
      rm = .base(Host.r14)
    }
    if i.operation == .div || i.operation == .idiv || i.operation == .cmpxchg16b { noteFault(i) }
    code.legacy(opcode, reg, rm)
    code.immediate(i.immediate, byteCount: form.immediateByteCount)
    if let regStore { code.store(regStore, .state(StateOffset.register(i.reg))) }
    return .emitted
  }

  /// Whether an instruction writes its destination, if that is a register, without having read it.
  private func isPureLoad(_ i: Instruction) -> Bool {
    switch i.operation {
    case .mov, .movzx, .movsx, .movsxd: i.operandSize >= 4
    default: false
    }
  }

  // MARK: Members of access groups

  /// Whether a memory access takes no more than a register in RCX.
  func isPlainAccess(_ i: Instruction) -> Bool {
    var form = Form()
    guard i.hasModRM, i.opcode != 0x8C || i.map != .primary, describe(i, &form), !form.usesCL else {
      return false
    }
    return !(form.hasRegister && isHigh(i.reg, isByte: form.isByteRegister, i))
  }

  /// Emits such an access with its operand at a host address.
  mutating func emitPlainMember(_ i: Instruction, _ memory: HostOperand) {
    if !i.traits.isDisjoint(with: [.sse, .avx]), HostInstruction.handles(i) {
      emitVectorMember(i, memory)
      return
    }
    var form = Form()
    _ = describe(i, &form)
    var opcode = HostOpcode(
      map: i.map.rawValue, opcode: i.opcode, mandatory: i.mandatoryPrefix,
      isWord: i.prefixes.contains(.operandSize) && i.mandatoryPrefix != 0x66,
      isWide: i.prefixes.contains(.rexW))
    var reg = (i.modRM >> 3) & 7
    if form.hasRegister {
      if let host = Host.register(i.reg) {
        reg = host
        if form.isByteRegister, (4..<8).contains(host) { opcode.needsREX = true }
      } else {
        reg = Host.rcx
        if !isPureLoad(i) || !form.writesRegister {
          code.load(reg, .state(StateOffset.register(i.reg)))
        }
      }
    }
    code.legacy(opcode, reg, memory)
    code.immediate(i.immediate, byteCount: form.immediateByteCount)
    if reg == Host.rcx, form.hasRegister, form.writesRegister {
      code.store(reg, .state(StateOffset.register(i.reg)))
    }
  }

  // MARK: Without ModRM

  /// Accumulator forms, MOV with an immediate, XCHG with the accumulator, MOV with an absolute address.
  private mutating func emitImplied(_ i: Instruction) -> Outcome {
    let isWide = i.prefixes.contains(.rexW)
    let isWord = i.prefixes.contains(.operandSize) && !isWide
    let wide = isWord ? 2 : 4
    guard i.map == .primary else { return .refused }
    switch i.opcode {
    case 0x40...0x4F where !is64Bit:
      // INC and DEC of one byte, which are REX prefixes on the host.
      let number = i.opcode & 7
      guard let host = Host.register(number) else { return .refused }
      code.legacy(
        HostOpcode(opcode: 0xFF, isWord: isWord), i.opcode >= 0x48 ? 1 : 0, .register(host))
      return .emitted
    case 0x00..<0x40 where i.opcode & 7 == 4 || i.opcode & 7 == 5, 0xA8, 0xA9:
      let isByte = i.opcode & 1 == 0
      if isWord { code.byte(0x66) }
      if isWide { code.byte(0x48) }
      code.byte(i.opcode)
      code.immediate(i.immediate, byteCount: isByte ? 1 : wide)
      return .emitted
    case 0xB0...0xB7: return emitByteImmediate(i)
    case 0xB8...0xBF:
      let value = UInt64(bitPattern: i.immediate)
      if isWord {
        guard let host = Host.register(i.rm) else { return .refused }
        code.byte(0x66)
        if host >= 8 { code.byte(0x41) }
        code.byte(0xB8 | host & 7)
        code.immediate(i.immediate, byteCount: 2)
        return .emitted
      }
      let extended = isWide ? value : value & 0xFFFF_FFFF
      if let host = Host.register(i.rm) {
        code.moveImmediate(host, extended)
      } else {
        code.moveImmediate(scratch, extended)
        code.store(scratch, .state(StateOffset.register(i.rm)))
      }
      return .emitted
    case 0x90...0x97:
      guard let host = Host.register(i.rm) else { return .refused }
      code.legacy(
        HostOpcode(opcode: 0x87, isWord: isWord, isWide: isWide), Host.rax, .register(host))
      return .emitted
    case 0xA0...0xA3:
      guard i.hasMemoryOperand, emitLinear(i) else { return .refused }
      let isByte = i.opcode & 1 == 0
      let isStore = i.opcode >= 0xA2
      let size = isByte ? 1 : (isWide ? 8 : (isWord ? 2 : 4))
      emitLookUp(i, size: size, isWrite: isStore)
      code.legacy(
        HostOpcode(
          opcode: (isStore ? 0x88 : 0x8A) | (isByte ? 0 : 1), isWord: isWord, isWide: isWide),
        Host.rax, .guest)
      return .emitted
    default: return .refused
    }
  }

  private mutating func emitByteImmediate(_ i: Instruction) -> Outcome {
    let value = UInt8(truncatingIfNeeded: i.immediate)
    if isHigh(i.rm, isByte: true, i) {
      guard i.rm != 5 else { return .refused }
      code.bytes(0xB0 | i.rm, value)
      return .emitted
    }
    guard let host = Host.register(i.rm) else {
      code.legacy(HostOpcode(opcode: 0xC6), 0, .state(StateOffset.register(i.rm)))
      code.byte(value)
      return .emitted
    }
    if host >= 4 { code.byte(0x40 | host >> 3) }
    code.bytes(0xB0 | host & 7, value)
    return .emitted
  }

  mutating func emitByteSwap(_ i: Instruction) -> Outcome {
    guard !i.prefixes.contains(.operandSize) || i.prefixes.contains(.rexW) else { return .refused }
    let host = fetch(i.rm, into: Host.r14)
    let rex = (i.prefixes.contains(.rexW) ? 8 : 0) | host >> 3
    if rex != 0 { code.byte(0x40 | rex) }
    code.bytes(0x0F, 0xC8 | host & 7)
    if host == Host.r14 { code.store(Host.r14, .state(StateOffset.register(i.rm))) }
    return .emitted
  }

  mutating func emitLoadAddress(_ i: Instruction) -> Outcome {
    guard i.hasMemoryOperand else { return .refused }
    let isWide = i.prefixes.contains(.rexW)
    let isWord = i.prefixes.contains(.operandSize) && !isWide
    if let host = Host.register(i.reg), !isWord, isPlainLoadAddress(i) {
      emitPlainLoadAddress(i, host, isWide: isWide && i.addressSize == 8)
      return .emitted
    }
    emitOffset(i)
    if isWord {
      guard let host = Host.register(i.reg) else { return .refused }
      code.legacy(HostOpcode(opcode: 0x8B, isWord: true), host, .register(Host.r14))
      return .emitted
    }
    guard let host = Host.register(i.reg) else {
      if !isWide { code.move(Host.r14, Host.r14, isWide: false) }
      code.store(Host.r14, .state(StateOffset.register(i.reg)))
      return .emitted
    }
    code.move(host, Host.r14, isWide: isWide)
    return .emitted
  }

  /// Whether LEA's result goes to a register and takes no more than RCX besides.
  func isPlainLoadAddress(_ i: Instruction) -> Bool {
    guard i.hasMemoryOperand, Host.register(i.reg) != nil, i.operandSize >= 4, i.addressSize >= 4
    else { return false }
    if i.base == Instruction.ripRegister {
      let value = Int64(nextOffset) + i.displacement
      return abs(value) < 1 << 31 - 8192
    }
    guard i.base < 16 else { return false }
    return i.index >= 16 || Host.register(i.base) != nil || Host.register(i.index) != nil
  }

  private mutating func emitPlainLoadAddress(_ i: Instruction, _ host: UInt8, isWide: Bool) {
    if i.base == Instruction.ripRegister {
      code.load(Host.rcx, .state(StateOffset.codePage))
      return code.address(
        host, base: Host.rcx, Int32(Int64(nextOffset) + i.displacement), isWide: isWide)
    }
    let base = fetch(i.base, into: Host.rcx)
    let index = i.index < 16 ? fetch(i.index, into: Host.rcx) : 4
    code.address(
      host, base: base, index: index, scale: i.index < 16 ? i.scale : 0,
      Int32(truncatingIfNeeded: i.displacement), isWide: isWide)
  }

  // MARK: BMI

  /// VEX-encoded instructions on general registers.
  mutating func emitBitManipulation(_ i: Instruction) -> Outcome {
    switch i.operation {
    case .andn, .bextr, .bzhi, .pdep, .pext, .sarx, .shlx, .shrx, .rorx, .mulx, .blsi, .blsmsk,
      .blsr:
      break
    default: return .refused
    }
    let isBLS = i.operation == .blsi || i.operation == .blsmsk || i.operation == .blsr
    let isWide = is64Bit && i.prefixes.contains(.rexW)
    let usesVVVV = i.operation != .rorx
    guard let vvvv = usesVVVV ? Host.register(i.vvvv) : 0 else { return .refused }
    var reg = (i.modRM >> 3) & 7
    if !isBLS {
      guard let host = Host.register(i.reg) else { return .refused }
      reg = host
    }
    var rm = HostOperand.guest
    if i.hasMemoryOperand {
      guard emitLinear(i) else { return .refused }
      emitLookUp(i, size: isWide ? 8 : 4, isWrite: false)
    } else {
      rm = .register(fetch(i.rm, into: Host.r14))
    }
    code.vex(
      map: i.map.rawValue, prefix: i.mandatoryPrefix, isWide: isWide,
      is256: false, vvvv: vvvv, opcode: i.opcode, reg, rm)
    if i.operation == .rorx { code.immediate(i.immediate, byteCount: 1) }
    return .emitted
  }
}
