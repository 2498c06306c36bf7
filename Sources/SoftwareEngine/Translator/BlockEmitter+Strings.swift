import CHost
import X86
import X86Decoder

/// MOVS, STOS, and bit instructions whose offset reaches beyond their memory operand.
extension BlockEmitter {
  /// Calls `chost_string`, which does what the TLB lets it do; the interpreter does the rest.
  mutating func emitString(_ i: Instruction) -> Outcome {
    guard Int(i.addressSize) == stackWidth, !i.hasSegmentOverride else { return .refused }
    let isByte = i.opcode & 1 == 0
    var what = isByte ? 1 : UInt64(i.operandSize)
    if !i.prefixes.isDisjoint(with: [.repeatEqual, .repeatNotEqual]) {
      what |= UInt64(chost_string_repeated)
    }
    if i.operation == .movs { what |= UInt64(chost_string_moves) }
    if !is64Bit { what |= UInt64(chost_string_is32) }
    what |= UInt64(setNumber) << 8 | UInt64(StateOffset.otherFlags) << 16
    code.moveImmediate(Host.rcx, what)
    code.byte(0xE8)  // call
    _ = unsafe code.displacement(to: stubs.string)
    code.bytes(0xE3, 0x05)  // jrcxz +5
    jumpToSlowSite(i)
    return .emitted
  }

  /// BT, BTS, BTR and BTC of memory with the offset in a register.
  mutating func emitBitString(_ i: Instruction, _ opcode: HostOpcode) -> Outcome {
    let size = Int(i.operandSize)
    guard size >= 4, emitLinear(i) else { return .refused }
    // A negative offset yields an address that is not canonical, with which the interpreter deals.
    if size == 8 {
      code.extract(Host.rcx, fetch(i.reg, into: Host.rcx), mask: StateOffset.wideWordMask)
    } else {
      // movsxd
      let operand: HostOperand =
        Host.register(i.reg).map(HostOperand.register) ?? .state(StateOffset.register(i.reg))
      code.legacy(HostOpcode(opcode: 0x63, isWide: true), Host.rcx, operand)
      code.extract(Host.rcx, Host.rcx, mask: StateOffset.wordMask)
    }
    code.address(Host.r14, base: Host.r14, index: Host.rcx, scale: size == 8 ? 3 : 2, 0)
    let isStore = i.operation != .bt
    emitLookUp(i, size: size, isWrite: isStore)
    code.address(Host.r14, base: Host.r14, index: Host.rcx, 0)
    code.extract(
      Host.rcx, fetch(i.reg, into: Host.rcx),
      mask: size == 8 ? StateOffset.bitMask : StateOffset.shortBitMask)
    code.legacy(opcode, Host.rcx, .base(Host.r14))
    return .emitted
  }
}
