import X86
import X86Decoder

/// From a decoded instruction to what the interpreter executes.
extension CPU {
  func lower(_ instruction: Instruction) -> MicroInstruction {
    var micro = MicroInstruction(
      handler: .cold, shape: .rr8, width: instruction.operandSize, first: 0, second: 0,
      base: Self.offset(instruction.base), index: Self.offset(instruction.index),
      scale: instruction.scale, segment: segmentSlot(instruction.segment),
      length: instruction.length, detail: 0, flags: [], offset: 0,
      addressMask: CPU.mask(instruction.addressSize),
      displacement: UInt64(bitPattern: instruction.displacement),
      immediate: UInt64(bitPattern: instruction.immediate))
    if instruction.hasMemoryOperand { micro.flags.insert(.memory) }
    if instruction.prefixes.contains(.lock) { micro.flags.insert(.lock) }
    if instruction.prefixes.contains(.repeatEqual) { micro.flags.insert(.repeatEqual) }
    if instruction.prefixes.contains(.repeatNotEqual) { micro.flags.insert(.repeatNotEqual) }
    guard instruction.operation != .invalid, isOffered(instruction) else {
      micro.handler = .undefined
      return micro
    }
    if HostInstruction.handles(instruction) {
      lowerHost(instruction, &micro)
      return micro
    }
    if !lowerCommon(instruction, &micro) { micro.handler = .cold }
    return micro
  }

  /// Completes an instruction once its place in the block is known: relative addresses count from the
  /// block's start.
  func finish(_ micro: inout MicroInstruction, _ instruction: Instruction) {
    let next = UInt64(micro.offset) &+ UInt64(micro.length)
    if instruction.hasMemoryOperand, instruction.base == Instruction.ripRegister {
      micro.displacement = micro.displacement &+ next
    }
    switch micro.handler {
    case .jcc, .jmp, .call, .loop, .jcxz: micro.immediate = micro.immediate &+ next
    case .cold: micro.immediate = env.blocks.appendCold(instruction)
    default: break
    }
  }

  /// Byte offset of a register in `CPUState.registers`; none and RIP have their places there.
  private static func offset(_ register: UInt8) -> UInt8 { register &* 8 }

  /// In 64-bit mode all segments but FS and GS are alike, save that faults on SS are #SS.
  private func segmentSlot(_ segment: UInt8) -> UInt8 { segment }

  /// Whether the CPU model offers the instruction in this mode.
  private func isOffered(_ instruction: Instruction) -> Bool {
    if state.mode.isParagraphMode,
      instruction.traits.contains(.protectedModeOnly) || instruction.encoding != .legacy
    {
      return false
    }
    return instruction.encoding != .evex && env.features.contains(instruction.feature)
  }

  /// The byte offset of a general-register operand.
  private static func offset(of operand: Operand) -> UInt8 {
    if operand.byteCount == 1, operand.number >= 16 { return (operand.number &- 16) &* 8 &+ 1 }
    return operand.number &* 8
  }

  /// Sets shape and operands of a two-operand instruction; false where they are not general ones.
  private func setTwoOperands(_ instruction: Instruction, _ micro: inout MicroInstruction) -> Bool {
    let a = instruction.operands[0]
    let b = instruction.operands[1]
    let width = UInt8(truncatingIfNeeded: a.byteCount)
    guard width == 1 || width == 2 || width == 4 || width == 8 else { return false }
    micro.width = width
    switch (a.kind, b.kind) {
    case (.general, .general):
      micro.first = Self.offset(of: a)
      micro.second = Self.offset(of: b)
      micro.shape = Shape(.rr, width: width)
    case (.general, .memory):
      micro.first = Self.offset(of: a)
      micro.shape = Shape(.rm, width: width)
    case (.memory, .general):
      micro.second = Self.offset(of: b)
      micro.shape = Shape(.mr, width: width)
    case (.general, .immediate):
      micro.first = Self.offset(of: a)
      micro.shape = Shape(.ri, width: width)
    case (.memory, .immediate):
      micro.shape = Shape(.mi, width: width)
    default: return false
    }
    return true
  }

  /// One register-or-memory operand at `position`, whose register goes to `first`.
  private func setOneOperand(
    _ instruction: Instruction, _ micro: inout MicroInstruction, _ position: Int = 0
  ) {
    let operand = instruction.operands[position]
    micro.width = UInt8(truncatingIfNeeded: operand.byteCount)
    if operand.kind == .general { micro.first = Self.offset(of: operand) }
  }

  /// A register destination and a register-or-memory source, whose register goes to `second`.
  private func setDestinationAndSource(
    _ instruction: Instruction, _ micro: inout MicroInstruction, source: Int = 1
  ) {
    micro.first = Self.offset(of: instruction.operands[0])
    micro.width = UInt8(truncatingIfNeeded: instruction.operands[0].byteCount)
    let operand = instruction.operands[source]
    if operand.kind == .general { micro.second = Self.offset(of: operand) }
  }

  private func lowerCommon(_ instruction: Instruction, _ micro: inout MicroInstruction) -> Bool {
    let operation = instruction.operation
    switch operation {
    case .add: micro.handler = .add
    case .or: micro.handler = .or
    case .adc: micro.handler = .adc
    case .sbb: micro.handler = .sbb
    case .and: micro.handler = .and
    case .sub: micro.handler = .sub
    case .xor: micro.handler = .xor
    case .cmp: micro.handler = .cmp
    case .test: micro.handler = .test
    case .mov: micro.handler = .mov
    default: return lowerOneOperand(instruction, &micro)
    }
    return setTwoOperands(instruction, &micro)
  }

  private func lowerOneOperand(_ instruction: Instruction, _ micro: inout MicroInstruction) -> Bool
  {
    switch instruction.operation {
    case .inc: micro.handler = .inc
    case .dec: micro.handler = .dec
    case .neg: micro.handler = .neg
    case .not: micro.handler = .not
    case .rol, .ror, .rcl, .rcr, .shl, .shr, .sar:
      micro.handler = .shift
      micro.detail = Self.shiftKind(instruction.operation)
      switch instruction.operands[1].kind {
      case .general: micro.detail |= 8
      case .one: micro.immediate = 1
      default: break
      }
    case .shld, .shrd:
      micro.handler = .doubleShift
      micro.detail = instruction.operation == .shrd ? 1 : 0
      micro.second = Self.offset(of: instruction.operands[1])
      if instruction.operands[2].kind == .general { micro.detail |= 8 }
    case .xchg, .xadd, .cmpxchg:
      micro.handler =
        instruction.operation == .xchg
        ? .xchg : (instruction.operation == .xadd ? .xadd : .cmpxchg)
      var (target, other) = (0, 1)
      if instruction.operands[1].kind == .memory { (target, other) = (1, 0) }
      micro.second = Self.offset(of: instruction.operands[other])
      setOneOperand(instruction, &micro, target)
      return true
    case .mul, .div, .idiv, .imul: return lowerMultiplication(instruction, &micro)
    case .setcc:
      micro.handler = .setcc
      micro.detail = instruction.opcode & 15
    case .bt, .bts, .btr, .btc:
      micro.handler = .bitTest
      let kinds: [Operation] = [.bt, .bts, .btr, .btc]
      micro.detail = UInt8(kinds.firstIndex(of: instruction.operation)!)
      if instruction.operands[1].kind == .general {
        micro.detail |= 8
        micro.second = Self.offset(of: instruction.operands[1])
      }
    case .bswap: micro.handler = .bswap
    default: return lowerMove(instruction, &micro)
    }
    setOneOperand(instruction, &micro)
    return true
  }

  private static func shiftKind(_ operation: Operation) -> UInt8 {
    switch operation {
    case .rol: 0
    case .ror: 1
    case .rcl: 2
    case .rcr: 3
    case .shr: 5
    case .sar: 7
    default: 4
    }
  }

  private func lowerMultiplication(
    _ instruction: Instruction, _ micro: inout MicroInstruction
  ) -> Bool {
    if instruction.operation == .imul, instruction.operands[1].kind != .none {
      micro.handler = .imul
      setDestinationAndSource(instruction, &micro)
      if instruction.operands[2].kind == .immediate { micro.detail = 1 }
      return true
    }
    switch instruction.operation {
    case .mul: micro.handler = .mul
    case .imul: micro.handler = .imulWide
    case .div: micro.handler = .div
    default: micro.handler = .idiv
    }
    let operand = instruction.operands[0]
    micro.width = UInt8(truncatingIfNeeded: operand.byteCount)
    if operand.kind == .general { micro.second = Self.offset(of: operand) }
    return true
  }

  private func lowerMove(_ instruction: Instruction, _ micro: inout MicroInstruction) -> Bool {
    let source = instruction.operands[1]
    switch instruction.operation {
    case .movzx:
      micro.handler = source.byteCount == 1 ? .movzx8 : .movzx16
      setDestinationAndSource(instruction, &micro)
    case .movsx, .movsxd:
      micro.handler =
        source.byteCount == 1 ? .movsx8 : (source.byteCount == 2 ? .movsx16 : .movsx32)
      setDestinationAndSource(instruction, &micro)
    case .cmovcc:
      micro.handler = .cmov
      micro.detail = instruction.opcode & 15
      setDestinationAndSource(instruction, &micro)
    case .lea:
      micro.handler = .lea
      setDestinationAndSource(instruction, &micro)
    case .bsf, .bsr, .tzcnt, .lzcnt, .popcnt:
      switch instruction.operation {
      case .bsf: micro.handler = .bsf
      case .bsr: micro.handler = .bsr
      case .tzcnt: micro.handler = .tzcnt
      case .lzcnt: micro.handler = .lzcnt
      default: micro.handler = .popcnt
      }
      setDestinationAndSource(instruction, &micro)
    case .crc32:
      micro.handler = .crc32
      setDestinationAndSource(instruction, &micro)
      micro.detail = UInt8(truncatingIfNeeded: source.byteCount)
    case .movbe:
      micro.handler = .movbe
      if instruction.operands[0].kind == .memory {
        micro.detail = 1
        micro.width = UInt8(truncatingIfNeeded: source.byteCount)
        micro.second = Self.offset(of: source)
      } else {
        setDestinationAndSource(instruction, &micro)
      }
    default: return lowerStack(instruction, &micro)
    }
    return true
  }

  private func lowerStack(_ instruction: Instruction, _ micro: inout MicroInstruction) -> Bool {
    micro.width = instruction.operandSize
    let operand = instruction.operands[0]
    switch instruction.operation {
    case .push:
      switch operand.kind {
      case .general:
        micro.handler = .push
        micro.first = Self.offset(of: operand)
      case .memory: micro.handler = .pushMemory
      default: micro.handler = .pushImmediate
      }
    case .pop:
      if operand.kind == .memory {
        micro.handler = .popMemory
      } else {
        micro.handler = .pop
        micro.first = Self.offset(of: operand)
      }
    case .leave: micro.handler = .leave
    case .enter:
      micro.handler = .enter
      micro.immediate = (micro.immediate & 0xFFFF) | UInt64(instruction.immediate2) << 16
    case .pusha: micro.handler = .pusha
    case .popa: micro.handler = .popa
    case .pushf: micro.handler = .pushf
    case .popf: micro.handler = .popf
    case .cbw: micro.handler = .cbw
    case .cwd: micro.handler = .cwd
    case .lahf: micro.handler = .lahf
    case .sahf: micro.handler = .sahf
    case .nop, .endbr, .prefetch, .prefetchw, .lfence, .mfence, .sfence, .clflush,
      .clflushopt, .clwb:
      return lowerHint(instruction, &micro)
    case .clc, .stc, .cmc, .cld, .std, .cli, .sti:
      micro.handler = .flagOperation
      let order: [Operation] = [.clc, .stc, .cmc, .cld, .std, .cli, .sti]
      micro.detail = UInt8(order.firstIndex(of: instruction.operation)!)
    default: return lowerBranch(instruction, &micro)
    }
    return true
  }

  /// Fences are executed as fences; a hint with a memory operand touches nothing, save CLFLUSH and
  /// its kin, which check it like a load and go cold.
  private func lowerHint(_ instruction: Instruction, _ micro: inout MicroInstruction) -> Bool {
    switch instruction.operation {
    case .nop, .endbr, .prefetch, .prefetchw:
      micro.handler = .nop
      return true
    default: return false
    }
  }

  private func lowerBranch(_ instruction: Instruction, _ micro: inout MicroInstruction) -> Bool {
    let operand = instruction.operands[0]
    switch instruction.operation {
    case .jcc:
      micro.handler = .jcc
      micro.detail = instruction.opcode & 15
    case .jmp, .call:
      let isCall = instruction.operation == .call
      if operand.kind == .relative {
        micro.handler = isCall ? .call : .jmp
      } else {
        micro.handler = isCall ? .callIndirect : .jmpIndirect
        if operand.kind == .general { micro.second = Self.offset(of: operand) }
      }
    case .ret:
      micro.handler = .ret
      micro.immediate &= 0xFFFF
      if operand.kind != .immediate { micro.immediate = 0 }
    case .loop, .loope, .loopne:
      micro.handler = .loop
      micro.detail =
        instruction.operation == .loop ? 2 : (instruction.operation == .loope ? 1 : 0)
    case .jcxz: micro.handler = .jcxz
    default: return lowerString(instruction, &micro)
    }
    return true
  }

  private func lowerString(_ instruction: Instruction, _ micro: inout MicroInstruction) -> Bool {
    switch instruction.operation {
    case .movs: micro.handler = .movs
    case .stos: micro.handler = .stos
    case .lods: micro.handler = .lods
    case .cmps: micro.handler = .cmps
    case .scas: micro.handler = .scas
    case .ins: micro.handler = .ins
    case .outs: micro.handler = .outs
    default: return lowerRest(instruction, &micro)
    }
    micro.width = instruction.operandSize
    return true
  }

  private func lowerRest(_ instruction: Instruction, _ micro: inout MicroInstruction) -> Bool {
    switch instruction.operation {
    case .andn, .bextr, .bzhi, .mulx, .pdep, .pext, .rorx, .sarx, .shlx, .shrx, .blsi, .blsmsk,
      .blsr,
      .adcx, .adox:
      return lowerBitManipulation(instruction, &micro)
    case .aaa, .aad, .aam, .aas, .daa, .das:
      micro.handler = .decimalAdjust
      let order: [Operation] = [.aaa, .aad, .aam, .aas, .daa, .das]
      micro.detail = UInt8(order.firstIndex(of: instruction.operation)!)
      return true
    case .xlat:
      micro.handler = .xlat
      return true
    case .in, .out:
      micro.handler = instruction.operation == .in ? .inPort : .outPort
      // Operands: accumulator and port, in either order.
      let isIn = instruction.operation == .in
      let accumulator = instruction.operands[isIn ? 0 : 1]
      let port = instruction.operands[isIn ? 1 : 0]
      micro.width = UInt8(truncatingIfNeeded: accumulator.byteCount)
      micro.detail = port.kind == .immediate ? 1 : 0
      micro.immediate &= 0xFF
      return true
    default: return false
    }
  }

  private func lowerBitManipulation(
    _ instruction: Instruction, _ micro: inout MicroInstruction
  ) -> Bool {
    let handlers: [(Operation, Handler)] = [
      (.andn, .andn), (.bextr, .bextr), (.bzhi, .bzhi), (.mulx, .mulx), (.pdep, .pdep),
      (.pext, .pext), (.rorx, .rorx), (.sarx, .sarx), (.shlx, .shlx), (.shrx, .shrx),
      (.blsi, .blsi), (.blsmsk, .blsmsk), (.blsr, .blsr), (.adcx, .adcx), (.adox, .adox),
    ]
    guard let handler = handlers.first(where: { $0.0 == instruction.operation })?.1 else {
      return false
    }
    micro.handler = handler
    micro.width = instruction.prefixes.contains(.rexW) ? 8 : 4
    micro.first = instruction.reg &* 8
    micro.detail = instruction.vvvv &* 8
    if !instruction.hasMemoryOperand { micro.second = instruction.rm &* 8 }
    return true
  }
}
