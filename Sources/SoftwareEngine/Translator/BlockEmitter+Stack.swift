import X86Decoder

/// PUSH, POP and LEAVE.
extension BlockEmitter {
  /// R14 = the next free stack slot, checked for a write.
  mutating func emitPushLookUp(_ i: Instruction) {
    code.address(Host.r14, base: Host.guestRSP, Int32(-stackWidth), isWide: is64Bit)
    emitLookUp(i, size: stackWidth, isWrite: true)
  }

  /// Takes the slot.
  mutating func emitPushCommit() { moveStack(-stackWidth) }

  func slotOpcode(_ opcode: UInt8) -> HostOpcode {
    HostOpcode(opcode: opcode, isWide: is64Bit)
  }

  /// Stores what the state's field at an offset holds in the slot.
  private mutating func emitStoreToSlot(_ offset: Int) {
    code.address(Host.rcx, base: Host.r14, index: Host.rcx, 0)
    code.load(Host.r14, .state(offset))
    code.legacy(slotOpcode(0x89), Host.r14, .base(Host.rcx))
    emitPushCommit()
  }

  mutating func emitPush(_ i: Instruction) -> Outcome {
    guard Int(i.operandSize) == stackWidth else { return .refused }
    let operand = i.operands[0]
    switch operand.kind {
    case .general:
      emitPushLookUp(i)
      if let host = Host.register(operand.number) {
        code.legacy(slotOpcode(0x89), host, .guest)
        emitPushCommit()
      } else {
        emitStoreToSlot(StateOffset.register(operand.number))
      }
    case .immediate:
      emitPushLookUp(i)
      code.legacy(slotOpcode(0xC7), 0, .guest)
      code.word32(Int32(truncatingIfNeeded: i.immediate))
      emitPushCommit()
    case .memory:
      guard emitLinear(i) else { return .refused }
      emitLookUp(i, size: stackWidth, isWrite: false)
      code.legacy(slotOpcode(0x8B), Host.rcx, .guest)
      code.store(Host.rcx, .state(StateOffset.temporary))
      emitPushLookUp(i)
      emitStoreToSlot(StateOffset.temporary)
    default: return .refused
    }
    return .emitted
  }

  mutating func emitPop(_ i: Instruction) -> Outcome {
    let operand = i.operands[0]
    guard Int(i.operandSize) == stackWidth, operand.kind == .general else { return .refused }
    code.move(Host.r14, Host.guestRSP, isWide: is64Bit)
    emitLookUp(i, size: stackWidth, isWrite: false)
    if operand.number == 4 {
      code.legacy(slotOpcode(0x8B), Host.guestRSP, .guest)
      return .emitted
    }
    if let host = Host.register(operand.number) {
      code.legacy(slotOpcode(0x8B), host, .guest)
    } else {
      code.legacy(slotOpcode(0x8B), Host.rcx, .guest)
      code.store(Host.rcx, .state(StateOffset.register(operand.number)))
    }
    moveStack(stackWidth)
    return .emitted
  }

  mutating func emitLeave(_ i: Instruction) -> Outcome {
    guard Int(i.operandSize) == stackWidth else { return .refused }
    code.move(Host.r14, 5, isWide: is64Bit)
    emitLookUp(i, size: stackWidth, isWrite: false)
    code.legacy(slotOpcode(0x8B), Host.rcx, .guest)
    code.address(Host.guestRSP, base: 5, Int32(stackWidth), isWide: is64Bit)
    code.move(5, Host.rcx, isWide: is64Bit)
    return .emitted
  }
}
