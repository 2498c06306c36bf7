import X86Decoder

/// MMX, SSE and AVX instructions, as they stand, on the guest's vector registers in the host's.
extension BlockEmitter {
  mutating func emitVector(_ i: Instruction) -> Outcome {
    let isVEX = i.encoding == .vex
    guard key.has(isVEX ? TranslationKey.avx : TranslationKey.sse) else { return .refused }
    if i.traits.contains(.vectorIndex) || i.prefixes.contains(.lock) { return .refused }
    // VZEROUPPER leaves registers 8…15 alone outside 64-bit mode.
    if isVEX, !is64Bit, i.map == .map0F, i.opcode == 0x77 { return .refused }
    guard isWhole(i) else { return .refused }
    let field = HostInstruction.generalField(i)
    var size = 0
    var isStore = false
    for position in 0..<4 where i.operands[position].kind == .memory {
      size = Int(i.operands[position].byteCount)
      isStore = i.operands[position].access.writes
    }
    if i.hasMemoryOperand, size == 0 || size > 32 { return .refused }
    loadVectors()
    let isMMX = i.traits.contains(.mmx)
    if isMMX { loadX87() }
    // The general register, if there is one.
    var reg = i.reg
    var rm = HostOperand.register(i.rm)
    var result: UInt8?
    if field == .reg {
      if let host = Host.register(i.reg) {
        reg = host
      } else {
        // Only ever written; RCX is the address's.
        guard !i.hasMemoryOperand else { return .refused }
        reg = Host.r14
        result = i.reg
      }
    }
    if i.hasMemoryOperand {
      guard emitLinear(i) else { return .refused }
      emitLookUp(i, size: size, isWrite: isStore)
      rm = .guest
      noteFault(i)
    } else if field == .rm {
      if let host = Host.register(i.rm) {
        rm = .register(host)
      } else {
        code.load(Host.r14, .state(StateOffset.register(i.rm)))
        rm = .register(Host.r14)
        if i.operands[0].kind == .general { result = i.rm }
      }
    }
    // An x87 exception may be pending.
    if isMMX, !i.hasMemoryOperand { noteFault(i) }
    emitOpcode(i, reg, rm)
    if i.map == .map0F3A, (0x60...0x63).contains(i.opcode) {
      // PCMPxSTRI's index.
      if i.opcode & 1 == 1 { code.move(Host.guestRCX, Host.rcx, isWide: false) }
    }
    if let result { code.store(Host.r14, .state(StateOffset.register(result))) }
    return .emitted
  }

  /// Whether an access can be in an access group, where at most 16 bytes can be required to be aligned.
  func isPlainVectorAccess(_ i: Instruction) -> Bool {
    guard !i.traits.isDisjoint(with: [.sse, .avx]), isPlainVector(i) else { return false }
    for position in 0..<4 where i.operands[position].kind == .memory {
      let size = i.operands[position].byteCount
      return (1...32).contains(size) && (!mustBeAligned(i) || size == 16)
    }
    return false
  }

  /// Whether an access faults on the host if it is misaligned.
  func mustBeAligned(_ i: Instruction) -> Bool {
    for position in 0..<4 where i.operands[position].kind == .memory {
      return i.traits.contains(.alignedOperand)
        || i.operands[position].byteCount >= 16 && !isUnaligned(i)
    }
    return false
  }

  /// Whether an access of a whole register may be misaligned on the host, whatever the decoder's tables say: a
  /// group has no way out of a fault.
  private func isUnaligned(_ i: Instruction) -> Bool {
    if i.encoding == .legacy {
      switch i.operation {
      case .movups, .movupd, .movdqu, .lddqu: return true
      default: return false
      }
    }
    switch i.operation {
    case .vmovaps, .vmovapd, .vmovdqa, .vmovntps, .vmovntpd, .vmovntdq, .vmovntdqa: return false
    default: return true
    }
  }

  /// Whether an instruction on vector registers alone can stand in an access group.
  func isVectorFiller(_ i: Instruction) -> Bool {
    !i.traits.isDisjoint(with: [.sse, .avx]) && isPlainVector(i)
      && !(i.map == .map0F && i.opcode == 0x77)
  }

  private func isPlainVector(_ i: Instruction) -> Bool {
    key.has(i.encoding == .vex ? TranslationKey.avx : TranslationKey.sse)
      && HostInstruction.handles(i) && HostInstruction.generalField(i) == .none && isWhole(i)
      && i.traits.isDisjoint(with: [.x87, .mmx, .vectorIndex])
      && !(i.map == .map0F3A && (0x60...0x63).contains(i.opcode)) && i.encoding != .evex
  }

  mutating func emitVectorMember(_ i: Instruction, _ memory: HostOperand) {
    emitOpcode(i, i.reg, memory)
  }

  private mutating func emitOpcode(_ i: Instruction, _ reg: UInt8, _ rm: HostOperand) {
    if i.map == .map0F, i.opcode == 0x77 {
      if i.encoding == .vex { code.bytes(0xC5, i.vectorLength == 32 ? 0xFC : 0xF8, 0x77) }
      if i.encoding == .legacy { code.bytes(0x0F, 0x77) }  // emms
      return
    }
    if i.encoding == .vex {
      code.vex(
        map: i.map.rawValue, prefix: i.mandatoryPrefix,
        // Outside 64-bit mode W does not widen general registers.
        isWide: i.prefixes.contains(.rexW)
          && (is64Bit || HostInstruction.generalField(i) == .none),
        is256: i.vectorLength == 32, vvvv: i.vvvv, opcode: i.opcode, reg, rm)
    } else {
      code.legacy(
        HostOpcode(
          map: i.map.rawValue, opcode: i.opcode, mandatory: i.mandatoryPrefix,
          isWide: i.prefixes.contains(.rexW)), reg, rm)
    }
    if HostInstruction.hasImmediate(i) { code.byte(HostInstruction.immediateByte(i)) }
  }

  /// What needs no more than its operands in place.
  private func isWhole(_ i: Instruction) -> Bool {
    switch i.operation {
    case .vmaskmovps, .vmaskmovpd, .vpmaskmovd, .vpmaskmovq, .maskmovdqu, .vmaskmovdqu, .extrq,
      .insertq:
      false
    default: true
    }
  }

  /// Has the guest's vector registers in the host's, once a block.
  mutating func loadVectors() {
    guard !vectorsLoaded else { return }
    vectorsLoaded = true
    code.load32(Host.rcx, .state(StateOffset.vectorsAbsent))
    code.bytes(0xE3, 0x05, 0xE8)  // jrcxz +5; call
    _ = unsafe code.displacement(
      to: key.has(TranslationKey.avx) ? stubs.loadWide : stubs.loadNarrow)
  }
}
