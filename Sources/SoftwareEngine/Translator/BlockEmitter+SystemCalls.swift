import X86
import X86Decoder

/// SYSCALL and SYSRET of 64-bit code, from one ring's translated code to the other's (SDM 2B).
///
/// What is out of the ordinary is the interpreter's: flags that would stay set over SYSCALL, SYSRET to where an interrupt waits
/// or with TF or AC, a target that is not in the lower half, a jump table that holds another key's code.
extension BlockEmitter {
  private static let arithmetic = Int32(Flags.arithmetic.rawValue)
  private static let unusual = Int32((Flags.trap.rawValue | Flags.alignmentCheck.rawValue))
  /// What SYSRET takes of R11, SYSCALL but for VM, which is 0 here.
  private static let kept = Int32(
    CPU.definedFlags & ~(Flags.resume.rawValue | Flags.virtual8086.rawValue))

  mutating func emitSystemCall(_ i: Instruction) -> Outcome {
    guard is64Bit, key.has(TranslationKey.user) else { return .refused }
    let next = key.rawValue & ~TranslationKey.user
    emitRingChecks(i, next) {
      $0.code.load(Host.r14, .state(StateOffset.syscallMask))
      $0.code.bytes(0x49, 0xF7, 0xD6, 0x41, 0xF7, 0xC6)  // not r14; test r14d, …
      $0.code.word32(Self.arithmetic | Self.unusual)
    }
    // R11 = RFLAGS; RFLAGS &= ~mask.
    code.load(Host.rcx, .state(StateOffset.linear))
    code.bytes(0x81, 0xE1)  // and ecx, …
    code.word32(Self.arithmetic)
    code.legacy(HostOpcode(opcode: 0x0B), Host.rcx, .state(StateOffset.otherFlags))
    code.bytes(0x83, 0xC9, 0x02, 0x81, 0xE1)  // or ecx, 2; and ecx, …
    code.word32(Self.kept)
    code.store(Host.rcx, .state(StateOffset.register(11)))
    code.bytes(0x41, 0x21, 0xCE, 0x41, 0x83, 0xCE, 0x02)  // and r14d, ecx; or r14d, 2
    code.store(Host.r14, .state(StateOffset.otherFlags))
    code.load(Host.guestRCX, .state(StateOffset.codePage))
    code.address(Host.guestRCX, base: Host.guestRCX, Int32(nextOffset))
    emitRing(0, next)
    code.load32(Host.rcx, .state(StateOffset.star + 4))
    code.bytes(0x81, 0xE1)  // and ecx, …
    code.word32(0xFFFC)
    emitFixedSegment(1, CPU.codeAttributes(level: 0, is64Bit: true))
    code.address(Host.rcx, base: Host.rcx, 8, isWide: false)
    emitFixedSegment(2, CPU.dataAttributes(level: 0))
    code.load(Host.r14, .state(StateOffset.lstar))
    code.bytes(0xB1, 0x01, 0x80, 0xC1, 0x00)  // mov cl, 1; add cl, 0: no arithmetic flag is set
    emitRingJump(table: 1)
    return .ended
  }

  mutating func emitSystemReturn(_ i: Instruction) -> Outcome {
    guard is64Bit, !key.has(TranslationKey.user), !key.has(TranslationKey.override),
      i.prefixes.contains(.rexW)
    else { return .refused }
    let next = key.rawValue | TranslationKey.user
    emitRingChecks(i, next) {
      $0.code.legacy(HostOpcode(opcode: 0x80), 7, .state(StateOffset.hasHeldInterrupt))  // cmp
      $0.code.byte(0)
      let isHeld = unsafe $0.emitShortJump(0x75)
      $0.code.load(Host.r14, .state(StateOffset.register(11)))
      $0.code.bytes(0x41, 0xF7, 0xC6)  // test r14d, …
      $0.code.word32(Self.unusual)
      let isUnusual = unsafe $0.emitShortJump(0x75)
      $0.code.move(Host.rcx, Host.guestRCX)
      $0.code.bytes(0x48, 0xC1, 0xF9, 47)  // sar rcx, 47
      // ZF is 0 there, too.
      unsafe $0.land(isHeld)
      unsafe $0.land(isUnusual)
    }
    code.bytes(0x41, 0x81, 0xE6)  // and r14d, …
    code.word32(Self.kept)
    code.bytes(0x44, 0x89, 0xF1, 0x81, 0xE1)  // mov ecx, r14d; and ecx, …
    code.word32(~Self.arithmetic)
    code.bytes(0x83, 0xC9, 0x02)  // or ecx, 2
    code.store(Host.rcx, .state(StateOffset.otherFlags))
    emitRing(3, next)
    code.load32(Host.rcx, .state(StateOffset.star + 4))
    code.bytes(0xC1, 0xE9, 16, 0x83, 0xC9, 0x03)  // shr ecx, 16; or ecx, 3
    code.address(Host.rcx, base: Host.rcx, 8, isWide: false)
    emitFixedSegment(2, CPU.dataAttributes(level: 3))
    code.address(Host.rcx, base: Host.rcx, 8, isWide: false)
    emitFixedSegment(1, CPU.codeAttributes(level: 3, is64Bit: true))
    code.bytes(0x41, 0x81, 0xE6)  // and r14d, …
    code.word32(Self.arithmetic)
    code.bytes(0x41, 0x56, 0x9D)  // push r14; popfq
    code.move(Host.r14, Host.guestRCX)
    emitRingJump(table: 0)
    return .ended
  }

  /// Goes to the slow site unless the jump table of the other ring holds code of `key`, the instruction is enabled, and what
  /// `others` emits sets ZF. Leaves the host's flags in `linear`, among other bits.
  private mutating func emitRingChecks(
    _ i: Instruction, _ key: UInt32, _ others: (inout BlockEmitter) -> Void
  ) {
    recoverFlags()
    code.bytes(0x9C, 0x59)  // pushfq; pop rcx
    code.store(Host.rcx, .state(StateOffset.linear))
    let table = key & TranslationKey.user != 0 ? 0 : 1
    code.legacy(HostOpcode(opcode: 0x81), 7, .state(JumpTables.keyOffset(table)))  // cmp
    code.word32(Int32(bitPattern: key))
    let isOther = unsafe emitShortJump(0x75)
    // What the notes say of the code segment is taken from the state when code leaves.
    code.legacy(HostOpcode(opcode: 0x83), 7, .state(StateOffset.x87Note))  // cmp
    code.byte(0)
    let hasNotes = unsafe emitShortJump(0x75)
    code.legacy(HostOpcode(opcode: 0xF6), 0, .state(StateOffset.efer))  // test
    code.byte(UInt8(ExtendedFeatureEnable.systemCallExtensions.rawValue))
    let isDisabled = unsafe emitShortJump(0x74)
    others(&self)
    let fine = unsafe emitShortJump(0x74)
    unsafe land(isOther)
    unsafe land(hasNotes)
    unsafe land(isDisabled)
    code.legacy(HostOpcode(opcode: 0xFF), 6, .state(StateOffset.linear))  // push
    code.byte(0x9D)  // popfq
    countInterpreted(i, requireSlowSite(i))
    jumpToSlowSite(i)
    unsafe land(fine)
  }

  /// Changes CPL, and what hangs on it.
  private mutating func emitRing(_ level: UInt8, _ key: UInt32) {
    code.legacy(HostOpcode(opcode: 0xC6), 0, .state(StateOffset.privilegeLevel))  // mov
    code.byte(level)
    code.load(
      Host.rcx, .state(level == 0 ? StateOffset.supervisorTLB : StateOffset.userTLB))
    code.store(Host.rcx, .state(StateOffset.dataTLB))
    code.legacy(HostOpcode(opcode: 0xC7, isWide: true), 0, .state(StateOffset.codeLinearPage))
    code.word32(Int32(CodePage.ofOtherRing))
    code.storeState32(StateOffset.key, key)
  }

  /// Loads a flat segment with the selector in CX.
  private mutating func emitFixedSegment(_ number: UInt8, _ attributes: UInt32) {
    let segment = StateOffset.segment(number)
    code.legacy(
      HostOpcode(opcode: 0x89, isWord: true), Host.rcx, .state(segment + StateOffset.selector))
    code.legacy(
      HostOpcode(opcode: 0xC7, isWide: true), 0, .state(segment + StateOffset.segmentBase))
    code.word32(0)
    code.storeState32(segment + StateOffset.segmentLimit, 0xFFFF_FFFF)
    code.storeState32(segment + StateOffset.segmentAttributes, attributes)
  }

  /// Goes to the linear address in R14, in the other ring.
  private mutating func emitRingJump(table number: Int) {
    let table = JumpTables.offset(number)
    code.address(Host.count, base: Host.count, Int32(-(executed + 1)))
    unsafe addPending(emitJumpCheck(table), site: Site.target)
    emitJumpIndex()
    emitTableJump(table)
  }
}
