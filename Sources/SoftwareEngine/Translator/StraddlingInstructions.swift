import X86
import X86Decoder

/// Instructions that begin in one page and end in the next: blocks of their own, which find out whether the second page
/// is the one that they were made from.
extension CPU {
  /// Decodes the instruction at an offset of the page being executed, if it crosses into the next page, as the only
  /// one of `translator.plan`; returns the RAM page of the second.
  func planStraddling(_ translator: Translator, start: Int) -> UInt32? {
    let inPage = 4096 - start
    guard inPage < 15, let second = secondCodePage(of: state.codeLinearPage & ~4095) else {
      return nil
    }
    registerCode(state.codeRAMPage << 12 | UInt64(start), UInt64(inPage))
    registerCode(UInt64(second) << 12, 15)
    var bytes: InlineArray<16, UInt8> = .init(repeating: 0)
    // SAFETY: both are pages of RAM.
    let first = unsafe state.codeHost.unsafelyUnwrapped
    let next = unsafe env.ramPointer(UInt64(second) << 12)
    for position in 0..<15 {
      bytes[position] =
        unsafe position < inPage ? first[start + position] : next[position - inPage]
    }
    let plan = unsafe translator.plan
    unsafe plan.initialize(to: PlannedInstruction(instruction: .empty, offset: UInt16(start)))
    unsafe (plan + 1).initialize(to: PlannedInstruction(instruction: .empty, offset: 0))
    let outcome = unsafe Decoder(mode: state.mode.codeMode).decode(
      bytes.span.extracting(0..<15), into: &plan.pointee.instruction)
    guard case .decoded = outcome, unsafe Int(plan.pointee.instruction.length) > inPage else {
      return nil
    }
    return second
  }

  /// The RAM page that holds what follows a linear page of code; `nil` if it cannot be executed. The TLB holds it then.
  func secondCodePage(of page: UInt64) -> UInt32? {
    let next = page &+ 4096
    guard next & state.linearMask == next, next != 0 else { return nil }
    let set = unsafe state.privilegeLevel == 3 ? state.userTLB : state.supervisorTLB
    if let ramPage = unsafe TLBEntry(set, next).executedPage(next) {
      return UInt32(truncatingIfNeeded: ramPage)
    }
    let right: AccessRight = state.privilegeLevel == 3 ? .user : .supervisor
    guard let physical = translate(next, .execute, right, segment: 1) else {
      // The fault is raised again when the instruction's turn comes.
      state.stop = .none
      return nil
    }
    guard let offset = env.ramOffset(physical & ~4095, byteCount: 4096) else { return nil }
    return UInt32(truncatingIfNeeded: offset >> 12)
  }

  /// A straddling block found another second page than its own, or none: sees to it that it is found again or made anew.
  func leaveStraddling(_ translator: Translator, _ site: Site, _ key: TranslationKey) {
    guard let second = secondCodePage(of: translation.codePage),
      Int32(truncatingIfNeeded: second) != site.target
    else { return }
    let number = translator.find(state.codeRAMPage << 12 | UInt64(site.blockOffset), key)
    guard number != 0 else { return }
    if translator.isNearlyFull {
      flushTranslations()
    } else {
      translator.discard(number)
    }
  }
}

extension BlockEmitter {
  /// Leaves unless the page after the code page is a certain page of RAM.
  mutating func emitSecondPageCheck(_ second: UInt32) {
    code.load(Host.r14, .state(StateOffset.codePage))
    code.address(Host.r14, base: Host.r14, 4096, isWide: is64Bit)
    code.extract(Host.rcx, Host.r14, mask: StateOffset.indexMask)
    code.load(Host.rcx, .stateArray(executeSet + TLBSet.executeKeys, index: Host.rcx))
    code.address(
      Host.rcx, base: Host.rcx, index: Host.r14, 0 &- Int32(truncatingIfNeeded: second))
    let found = unsafe emitForwardCounterJump()
    let site = translator.append(
      Site(
        kind: .straddle, executed: 0, blockOffset: UInt16(blockOffset),
        target: Int32(truncatingIfNeeded: second)))
    unsafe code.leave(site, stubs.exit)
    unsafe land(found)
  }
}
