import X86
import X86Decoder

/// CLD and STD, and the system instructions that kernels execute all the time: CLI, STI, CLAC, STAC, PUSHF, SWAPGS, MOV from a
/// segment register. The latter at CPL 0 only, where none of them can fault but by its memory access.
extension BlockEmitter {
  private var isSupervisor: Bool { !key.has(TranslationKey.user) }

  mutating func emitSystem(_ i: Instruction) -> Outcome {
    switch i.operation {
    case .cld, .std:
      emitFlag(.direction, isSet: i.operation == .std)
      return .emitted
    case .cli: return emitInterruptFlag(i, isSet: false)
    case .sti: return emitInterruptFlag(i, isSet: true)
    case .clac: return emitAccessControl(i, isSet: false)
    case .stac: return emitAccessControl(i, isSet: true)
    case .pushf: return emitPushFlags(i)
    case .swapgs: return emitSwapGS()
    default: return emitLoadSelector(i)
    }
  }

  /// Saves RAX and the arithmetic flags (as LAHF and SETO do), for code that changes both.
  private mutating func emitSaveFlags() {
    code.store(Host.rax, .state(StateOffset.temporary))
    code.bytes(0x9F, 0x0F, 0x90, 0xC0)  // lahf; seto al
  }

  /// From RAX as `emitSaveFlags` left it.
  private mutating func emitRestoreFlags() {
    code.bytes(0x04, 0x7F, 0x9E)  // add al, 127; sahf
    code.load(Host.rax, .state(StateOffset.temporary))
  }

  /// STI holds interrupts back for one instruction: that one must be in the same block, which looks for
  /// attention only at its edges. An interrupt that waits for IF is the interpreter's.
  private mutating func emitInterruptFlag(_ i: Instruction, isSet: Bool) -> Outcome {
    guard isSupervisor else { return .refused }
    if isSet {
      guard nextOffset + 15 <= 4096, executed + 2 < cpu.env.maximumBlockLength, !isFull else {
        return .refused
      }
      // movzx ecx, byte […]
      code.legacy(HostOpcode(map: 1, opcode: 0xB6), Host.rcx, .state(StateOffset.hasHeldInterrupt))
      code.bytes(0xE3, 0x05)  // jrcxz +5
      jumpToSlowSite(i)
    }
    emitFlag(.interruptEnable, isSet: isSet)
    return .emitted
  }

  /// Sets or clears one of the flags that are not arithmetic.
  private mutating func emitFlag(_ flag: Flags, isSet: Bool) {
    emitSaveFlags()
    let byte = flag.rawValue.trailingZeroBitCount / 8
    let bit = UInt8(flag.rawValue >> (8 * byte))
    code.legacy(HostOpcode(opcode: 0x80), isSet ? 1 : 4, .state(StateOffset.otherFlags + byte))
    code.byte(isSet ? bit : ~bit)
    emitRestoreFlags()
  }

  /// With the other AC, what follows is code of another key.
  private mutating func emitAccessControl(_ i: Instruction, isSet: Bool) -> Outcome {
    guard isSupervisor else { return .refused }
    guard key.has(TranslationKey.override) != isSet else {
      emitFlag(.alignmentCheck, isSet: isSet)
      return .emitted
    }
    emitFlag(.alignmentCheck, isSet: isSet)
    code.load(
      Host.rcx, .state(isSet ? StateOffset.overrideTLB : StateOffset.supervisorTLB))
    code.store(Host.rcx, .state(StateOffset.dataTLB))
    code.storeState32(StateOffset.key, key.rawValue ^ TranslationKey.override)
    emitEdge(executed: executed + 1, target: Int32(nextOffset))
    return .ended
  }

  /// Counts PAUSEs; at the last the interpreter lets others have the host's processor.
  mutating func emitPause(_ i: Instruction) -> Outcome {
    code.bytes(0xF3, 0x90)
    code.load32(Host.rcx, .state(StateOffset.pausesLeft))
    code.address(Host.rcx, base: Host.rcx, -1, isWide: false)
    code.store32(Host.rcx, .state(StateOffset.pausesLeft))
    code.bytes(0xE3, 0x02, 0xEB, 0x05)  // jrcxz +2; jmp +5
    jumpToSlowSite(i)
    return .emitted
  }

  private mutating func emitPushFlags(_ i: Instruction) -> Outcome {
    guard isSupervisor, Int(i.operandSize) == stackWidth else { return .refused }
    emitPushLookUp(i)
    code.address(Host.rcx, base: Host.r14, index: Host.rcx, 0)
    emitSaveFlags()
    code.store(Host.rax, .state(StateOffset.linear))
    code.bytes(0x0F, 0xB6, 0xC4)  // movzx eax, ah
    code.bytes(0x25)  // and eax, CF | PF | AF | ZF | SF
    code.word32(0xD5)
    // movzx r14d, byte [linear]; shl r14d, 11; or eax, r14d
    code.legacy(HostOpcode(map: 1, opcode: 0xB6), Host.r14, .state(StateOffset.linear))
    code.bytes(0x41, 0xC1, 0xE6, 0x0B, 0x44, 0x09, 0xF0)
    code.legacy(HostOpcode(opcode: 0x0B), Host.rax, .state(StateOffset.otherFlags))  // or eax
    code.bytes(0x83, 0xC8, 0x02, 0x25)  // or eax, 2; and eax, ~(RF | VM)
    code.word32(Int32(bitPattern: ~0x3_0000))
    code.legacy(HostOpcode(opcode: 0x89, isWide: is64Bit), Host.rax, .base(Host.rcx))
    code.load(Host.rax, .state(StateOffset.linear))
    emitRestoreFlags()
    emitPushCommit()
    return .emitted
  }

  private mutating func emitSwapGS() -> Outcome {
    guard isSupervisor, is64Bit else { return .refused }
    let base = StateOffset.linearBase + 5 * 8
    code.load(Host.rcx, .state(StateOffset.kernelGSBase))
    code.load(Host.r14, .state(base))
    code.store(Host.rcx, .state(base))
    code.store(Host.rcx, .state(StateOffset.segment(5) + StateOffset.segmentBase))
    code.store(Host.r14, .state(StateOffset.kernelGSBase))
    return .emitted
  }

  /// MOV register, segment register.
  private mutating func emitLoadSelector(_ i: Instruction) -> Outcome {
    guard i.map == .primary, i.opcode == 0x8C, !i.hasMemoryOperand, i.operandSize != 2,
      let host = Host.register(i.rm)
    else { return .refused }
    code.legacy(
      HostOpcode(map: 1, opcode: 0xB7), host,
      .state(StateOffset.segment((i.modRM >> 3) & 7) + StateOffset.selector))
    return .emitted
  }
}
