import X86Decoder

/// Near jumps, calls and returns.
///
/// Targets of direct branches count from the code page. A branch to another page finds out whether the page there
/// is the one that it was linked to by the TLB's execute key.
extension BlockEmitter {
  /// The opcode's width is the mode's: no truncation to 16 bits.
  private func isNear(_ i: Instruction) -> Bool { Int(i.operandSize) == stackWidth }

  /// A direct branch's target; `nil` where it is too far to be worth a constant.
  private func target(_ i: Instruction) -> Int32? {
    let value = Int64(nextOffset) + i.immediate
    guard value == Int64(Int32(truncatingIfNeeded: value)) else { return nil }
    return Int32(truncatingIfNeeded: value)
  }

  /// Whether a direct branch, by its number in the plan, has a target that `emitCall` takes.
  func hasNearTarget(_ i: Instruction, _ number: Int) -> Bool {
    // SAFETY: the plan has more instructions than `number`.
    let value = unsafe Int64(translator.plan[number].offset) + Int64(i.length) + i.immediate
    return value == Int64(Int32(truncatingIfNeeded: value))
  }

  /// A direct call at the end of an access group; its slot is at a host address.
  mutating func emitGroupCall(_ i: Instruction, _ slot: HostOperand) {
    code.load(Host.rcx, .state(StateOffset.codePage))
    code.address(Host.rcx, base: Host.rcx, Int32(nextOffset), isWide: is64Bit)
    code.legacy(HostOpcode(opcode: 0x89, isWide: is64Bit), Host.rcx, slot)
    emitPushCommit()
    emitEdge(executed: executed + 1, target: target(i) ?? 0)
  }

  /// A return at the end of an access group.
  mutating func emitGroupReturn(_ i: Instruction, _ slot: HostOperand) {
    let extra = i.operands[0].kind == .immediate ? Int(i.immediate & 0xFFFF) : 0
    code.legacy(HostOpcode(opcode: 0x8B, isWide: is64Bit), Host.r14, slot)
    emitIndirect(i) { $0.moveStack($0.stackWidth + extra) }
    finishSlowSite()
  }

  mutating func emitConditionalJump(_ i: Instruction) -> Outcome {
    guard isNear(i), let target = target(i) else { return .refused }
    if isRepeated {
      code.bytes(0x0F, 0x80 | (i.opcode & 15) ^ 1)
      let place = unsafe code.displacement(to: nil)
      unsafe addPendingEdge(place, executed: executed + 1, target: Int32(nextOffset))
      return .emitted
    }
    if Int(target) <= blockOffset {
      // A loop: the edge stands in line, and the way out of the loop jumps over it.
      code.bytes(0x0F, 0x80 | (i.opcode & 15) ^ 1)
      let over = unsafe code.displacement(to: nil)
      emitEdge(executed: executed + 1, target: target)
      unsafe Assembler.patch(over, code.cursor)
      return .emitted
    }
    code.bytes(0x0F, 0x80 | i.opcode & 15)
    let place = unsafe code.displacement(to: nil)
    unsafe addPendingEdge(place, executed: executed + 1, target: target)
    return .emitted
  }

  /// Whether the block's first instruction follows the current one, in a loop that the plan repeats.
  private var isRepeated: Bool {
    // SAFETY: the plan has an instruction more than it has.
    let next = unsafe translator.plan + index + 1
    return unsafe next.pointee.instruction.length > 0 && Int(next.pointee.offset) == blockOffset
  }

  mutating func emitJump(_ i: Instruction) -> Outcome {
    guard isNear(i) else { return .refused }
    if i.operands[0].kind == .relative {
      guard let target = target(i) else { return .refused }
      emitEdge(executed: executed + 1, target: target)
      return .ended
    }
    guard emitTarget(i) else { return .refused }
    emitIndirect(i) { _ in }
    return .ended
  }

  mutating func emitCall(_ i: Instruction) -> Outcome {
    guard isNear(i) else { return .refused }
    if i.operands[0].kind == .relative {
      guard let target = target(i) else { return .refused }
      emitPushLookUp(i)
      emitReturnAddress()
      emitPushCommit()
      emitEdge(executed: executed + 1, target: target)
      return .ended
    }
    guard emitTarget(i) else { return .refused }
    code.store(Host.r14, .state(StateOffset.temporary))
    emitPushLookUp(i)
    emitReturnAddress()
    // The store is repeated, harmlessly, if the interpreter takes over from here.
    code.load(Host.r14, .state(StateOffset.temporary))
    emitIndirect(i) { $0.emitPushCommit() }
    return .ended
  }

  /// Stores the next instruction's address at [R14 + RCX].
  private mutating func emitReturnAddress() {
    code.address(Host.rcx, base: Host.r14, index: Host.rcx, 0)
    code.load(Host.r14, .state(StateOffset.codePage))
    code.address(Host.r14, base: Host.r14, Int32(nextOffset), isWide: is64Bit)
    code.legacy(HostOpcode(opcode: 0x89, isWide: is64Bit), Host.r14, .base(Host.rcx))
  }

  mutating func emitReturn(_ i: Instruction) -> Outcome {
    guard isNear(i) else { return .refused }
    let extra = i.operands[0].kind == .immediate ? Int(i.immediate & 0xFFFF) : 0
    code.move(Host.r14, Host.guestRSP, isWide: is64Bit)
    emitLookUp(i, size: stackWidth, isWrite: false)
    code.legacy(HostOpcode(opcode: 0x8B, isWide: is64Bit), Host.r14, .guest)
    emitIndirect(i) {
      $0.moveStack($0.stackWidth + extra)
    }
    return .ended
  }

  /// An indirect branch's target, in R14.
  private mutating func emitTarget(_ i: Instruction) -> Bool {
    let operand = i.operands[0]
    if operand.kind == .general {
      if let host = Host.register(operand.number) {
        code.move(Host.r14, host, isWide: is64Bit)
      } else {
        code.load(Host.r14, .state(StateOffset.register(operand.number)))
      }
      return true
    }
    guard operand.kind == .memory, emitLinear(i) else { return false }
    emitLookUp(i, size: stackWidth, isWrite: false)
    code.legacy(HostOpcode(opcode: 0x8B, isWide: is64Bit), Host.r14, .guest)
    return true
  }

  /// Goes to the linear address in R14 by the jump table; the interpreter executes the whole instruction
  /// where the table does not know it. `commit` emits what else the instruction does.
  private mutating func emitIndirect(_ i: Instruction, commit: (inout BlockEmitter) -> Void) {
    let table = JumpTables.offset(key.has(TranslationKey.user) ? 0 : 1)
    let retry = unsafe code.cursor
    // The entry lies RCX << scale bytes into the table.
    var scale: UInt8 = 3
    if !flagsInHost || source.isScratchFree && !keepsFlags {
      flagsInHost = false
      scale = 2
      // mov rcx, […]; and rcx, r14; cmp r14, […]; jne
      code.load(Host.rcx, .state(StateOffset.jumpMask))
      code.bytes(0x4C, 0x21, 0xF1)
      code.legacy(
        HostOpcode(opcode: 0x3B, isWide: true), Host.r14,
        .stateArray(table + JumpTable.linear, index: Host.rcx, scale: scale))
      code.bytes(0x0F, 0x85)
      unsafe addPendingSearch(code.displacement(to: nil), i, retry)
      commit(&self)
      let losesIndex = !source.isScratchFree
      recoverFlags()
      if losesIndex {
        scale = 3
        emitJumpIndex()
      }
    } else {
      unsafe addPendingSearch(emitJumpCheck(table), i, retry)
      commit(&self)
      // If attention came in between, this finds entry 0, which leads out.
      emitJumpIndex()
    }
    code.address(Host.count, base: Host.count, Int32(-(executed + 1)))
    emitTableJump(table, scale: scale)
  }

  /// Sets RCX to the place of R14's entry in its jump table, counted in words of eight bytes, and no flag.
  mutating func emitJumpIndex() {
    code.extract(Host.rcx, Host.r14, mask: StateOffset.jumpMask)
    code.address(Host.rcx, base: Host.rcx, index: Host.rcx, 0)
  }

  /// Jumps to the target in the entry that RCX leads to.
  mutating func emitTableJump(_ table: Int, scale: UInt8 = 3) {
    code.legacy(
      HostOpcode(opcode: 0xFF), 4,
      .stateArray(table + JumpTable.target, index: Host.rcx, scale: scale))
  }

  /// Jumps unless the entry of the table is that of the address in R14; returns the jump's rel32. Changes RCX, and no
  /// flag.
  mutating func emitJumpCheck(_ table: Int) -> UnsafeMutablePointer<UInt8> {
    emitJumpIndex()
    code.load(Host.rcx, .stateArray(table + JumpTable.linear, index: Host.rcx))
    code.bytes(0x48, 0xF7, 0xD1)  // not rcx
    code.address(Host.rcx, base: Host.rcx, index: Host.r14, 1)
    code.bytes(0xE3, 0x05)  // jrcxz +5
    return unsafe code.jump(nil)
  }

  /// Has a jump to `place` enter the target in the table and look again; failing that, to the slow site.
  private mutating func addPendingSearch(
    _ place: UnsafeMutablePointer<UInt8>, _ i: Instruction, _ retry: UnsafeMutablePointer<UInt8>
  ) {
    let site = requireSlowSite(i)
    // SAFETY: `isFull` ends the block in time.
    unsafe (translator.pending + pendingCount).initialize(
      to: PendingJump(
        place: place, site: site, flags: flagsNow, retry: retry, isSearch: true, isEdge: false))
    pendingCount += 1
  }

  /// Leaves for a direct target: counts, looks for attention when going backwards, and jumps once linked.
  mutating func emitEdge(executed: Int, target: Int32) {
    recoverFlags()
    code.address(Host.count, base: Host.count, Int32(-executed))
    let isSamePage = target >= 0 && target < 4096
    let isBackward = Int(target) <= blockOffset
    guard isSamePage else { return emitPageEdge(target: target, isBackward: isBackward) }
    let site = UInt32(translator.siteCount)
    if isBackward {
      code.load32(Host.rcx, .state(StateOffset.running))
      code.bytes(0xE3, 0x05)  // jrcxz +5
    }
    let place = unsafe code.jump(nil)
    _ = translator.append(
      Site(
        kind: .edge, executed: 0, blockOffset: UInt16(blockOffset),
        patch: unsafe translator.offset(place), target: target))
    unsafe addPending(place, site: site)
    if isBackward { unsafe addPending(code.jump(nil), site: site) }
  }

  private mutating func emitPageEdge(target: Int32, isBackward: Bool) {
    let page = target & ~4095
    code.load(Host.r14, .state(StateOffset.codePage))
    code.address(Host.r14, base: Host.r14, page, isWide: is64Bit)
    var leaving: UnsafeMutablePointer<UInt8>?
    if isBackward {
      code.load32(Host.rcx, .state(StateOffset.running))
      unsafe leaving = emitForwardCounterJump()
    }
    code.extract(Host.rcx, Host.r14, mask: StateOffset.indexMask)
    code.load(Host.rcx, .stateArray(executeSet + TLBSet.executeKeys, index: Host.rcx))
    // The expected page is patched in. All ones match nothing.
    code.bytes(0x4A, 0x8D, 0x8C, 0x31)  // lea rcx, [rcx + r14 + …]
    let keyPlace = unsafe code.cursor
    code.word32(Int32.min)
    let linked = unsafe emitForwardCounterJump()
    if let leaving = unsafe leaving { unsafe land(leaving) }
    let site = UInt32(translator.siteCount)
    unsafe addPending(code.jump(nil), site: site)
    unsafe land(linked)
    code.store(Host.r14, .state(StateOffset.codePage))
    let place = unsafe code.jump(nil)
    unsafe addPending(place, site: site)
    _ = translator.append(
      Site(
        kind: .pageEdge, executed: 0, blockOffset: UInt16(blockOffset),
        patch: unsafe translator.offset(place), keyPatch: unsafe translator.offset(keyPlace),
        target: target & 4095))
  }

  /// JRCXZ to a place that `land` names.
  mutating func emitForwardCounterJump() -> UnsafeMutablePointer<UInt8> {
    unsafe emitShortJump(0xE3)
  }

  /// The same with a jump on a condition.
  mutating func emitShortJump(_ opcode: UInt8) -> UnsafeMutablePointer<UInt8> {
    code.bytes(opcode, 0)
    return unsafe code.cursor - 1
  }

  mutating func land(_ place: UnsafeMutablePointer<UInt8>) {
    unsafe place.pointee = UInt8(truncatingIfNeeded: code.cursor - place - 1)
  }
}
