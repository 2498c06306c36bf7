import X86Decoder

/// Emits one block. Its parts: `+Memory` (addresses and TLB look-ups), `+Flags`, `+AccessGroups`, `+Operands` (with a ModRM
/// byte), `+Strings`, `+Stack`, `+Branches`, `+System`, `+Vectors`.
@safe struct BlockEmitter {
  var code: Assembler
  let translator: Translator
  let stubs: RuntimeStubs
  let cpu: CPU
  let key: TranslationKey
  /// Where the block starts in its page.
  let blockOffset: Int
  /// Where the current instruction starts, and the next one.
  var offset: Int
  var nextOffset: Int
  /// How many instructions of the block precede the current one.
  var executed = 0
  /// How many instructions the block has.
  private(set) var blockLength = 0
  /// Where its code in the first half of the cache ends.
  private(set) var hotEnd: UnsafeMutablePointer<UInt8>?
  var pendingEdges = 0
  /// The current instruction's slow site, once it has one; ~0 before.
  var slowSite: UInt32 = ~0
  var pendingCount = 0
  /// The current instruction's number in the plan.
  var index = 0
  /// Whether the host's flags are the guest's; where else those can be had from, while they are and if they
  /// are not.
  var flagsInHost = true
  var source = FlagSource.none
  /// The instruction is in an access group, whose look-up is done.
  var isInGroup = false
  /// An access group had an instruction that cannot be in one: the block must be emitted without groups.
  var groupsAreRefused = false
  /// What is still to be added to the guest's RSP, in a group.
  var pendingStack = 0
  /// Look-ups must leave the flags alone.
  var keepsFlags = false
  /// The current instruction's effect on flags, and whether it recovers them once its look-up is done.
  var effect = FlagEffect.none
  /// The copy of the current instruction's destination.
  var keptOperand = FlagSource.noRegister
  var recoversAfterLookUp = false
  /// Where the flags are to be had from at each instruction that the host may refuse.
  var faultSources: [FlagSource] = []
  var coldFaultSources: [FlagSource] = []
  var putOffGroups: [PutOffGroup] = []
  /// Whether the block's vector and x87 registers are in the host's from here on.
  var vectorsLoaded = false
  var x87Loaded = false
  /// Whether the page that its x87 notes count from is noted, which is done anew where code goes on behind a site.
  var hasX87Page = false
  /// Where the block's entry for branches within the page lies.
  private(set) var entry: UnsafeMutablePointer<UInt8>

  /// What became of an instruction.
  enum Outcome {
    case emitted
    /// Nothing follows it in the block.
    case ended
    /// It is the interpreter's.
    case refused
  }

  var is64Bit: Bool { key.is64Bit }
  /// The bytes of a stack slot and of a return address.
  var stackWidth: Int { is64Bit ? 8 : 4 }

  // MARK: A block

  init(_ translator: Translator, _ cpu: CPU, _ key: TranslationKey, start: Int) {
    unsafe code = Assembler(cursor: translator.cursor)
    self.translator = translator
    stubs = translator.stubs
    self.cpu = cpu
    self.key = key
    blockOffset = start
    offset = start
    nextOffset = start
    unsafe entry = translator.cursor
  }

  /// Emits what precedes a block of `total` instructions: the entry for indirect branches, with the linear address in R14.
  ///
  /// The code page is stored only if it is another one: what follows would have to wait for the target, which
  /// branch prediction otherwise runs ahead of.
  mutating func emitEntry(_ total: Int, isStraddling: Bool) {
    let isSame: UnsafeMutablePointer<UInt8>
    if !isStraddling, !key.has(TranslationKey.budgeted), overwritesFlags(total) {
      code.address(Host.rcx, base: Host.r14, Int32(-blockOffset))
      // cmp rcx, […]; je
      code.legacy(
        HostOpcode(opcode: 0x3B, isWide: true), Host.rcx, .state(StateOffset.codePage))
      unsafe isSame = emitShortJump(0x74)
    } else {
      code.load(Host.rcx, .state(StateOffset.codePage))
      code.bytes(0x48, 0xF7, 0xD1)  // not rcx
      code.address(Host.rcx, base: Host.rcx, index: Host.r14, Int32(1 - blockOffset))
      unsafe isSame = emitForwardCounterJump()
      code.address(Host.rcx, base: Host.r14, Int32(-blockOffset))
    }
    code.store(Host.rcx, .state(StateOffset.codePage))
    unsafe land(isSame)
    unsafe entry = code.cursor
  }

  /// Whether a plan of `total` instructions overwrites the flags before it can be left.
  private mutating func overwritesFlags(_ total: Int) -> Bool {
    for number in 0..<total {
      let i = begin(number)
      guard isGroupFiller(i), i.traits.isDisjoint(with: [.mmx, .sse, .avx]) else { return false }
      switch FlagEffect(i) {
      case .none: continue
      case .reads: return false
      case .overwrites: return true
      }
    }
    return false
  }

  /// Emits a plan of `total` instructions, and what of it is put off.
  mutating func emitBlock(_ total: Int, hasGroups: Bool) {
    let firstFaults = (translator.faults.count, translator.coldFaults.count)
    let length = unsafe emitBudgetCheck()
    // Short blocks, which tests ask for, are of single instructions.
    emitPlan(total, hasGroups: hasGroups && cpu.env.maximumBlockLength > 16)
    if let length = unsafe length {
      unsafe UnsafeMutableRawPointer(length).storeBytes(of: Int32(-executed), as: Int32.self)
    }
    blockLength = executed
    emitPendingEdges()
    unsafe hotEnd = code.cursor
    unsafe code.cursor = translator.coldCursor
    emitPutOffGroups()
    emitPendingEdges()
    emitPending()
    emitFaultStubs(translator.faults, firstFaults.0, faultSources, base: 0)
    emitFaultStubs(
      translator.coldFaults, firstFaults.1, coldFaultSources, base: Translator.coldStart)
  }

  /// Under a budget: leaves unless it suffices for the block; returns where minus the block's length is to be written.
  private mutating func emitBudgetCheck() -> UnsafeMutablePointer<UInt8>? {
    guard key.has(TranslationKey.budgeted) else { return nil }
    code.bytes(0x49, 0x8D, 0x8F)  // lea rcx, [r15 + …]
    let length = unsafe code.cursor
    code.word32(0)
    code.extract(Host.rcx, Host.rcx, mask: StateOffset.signMask)
    let suffices = unsafe emitForwardCounterJump()
    let site = translator.append(
      Site(kind: .budget, executed: 0, blockOffset: UInt16(blockOffset)))
    unsafe code.leave(site, stubs.exit)
    unsafe land(suffices)
    return unsafe length
  }

  /// Emits a plan of `total` instructions, and how code goes on behind them.
  private mutating func emitPlan(_ total: Int, hasGroups: Bool) {
    var number = 0
    while number < total, !isFull {
      let i = begin(number)
      if hasGroups, let group = accessGroup(total) {
        if emitGroup(group) { return }
        number += group.count
        continue
      }
      prepareFlags(i)
      let outcome = emit(i)
      if outcome == .refused { emitInterpreted(i) }
      finishSlowSite()
      finishFlags(i)
      executed += 1
      number += 1
      if outcome == .ended { return }
      if outcome == .refused, i.traits.contains(.changesControlFlow) {
        // A repeated loop's next instruction in the plan is not the one behind.
        return emitEdge(executed: executed, target: Int32(nextOffset))
      }
    }
    // SAFETY: the plan has `total` instructions.
    let next = unsafe number < total ? Int(translator.plan[number].offset) : nextOffset
    emitEdge(executed: executed, target: Int32(next))
  }

  /// Turns to an instruction of the plan.
  mutating func begin(_ number: Int) -> Instruction {
    index = number
    slowSite = ~0
    // SAFETY: the plan has more instructions than `number`.
    let planned = unsafe translator.plan + number
    offset = unsafe Int(planned.pointee.offset)
    let i = unsafe planned.pointee.instruction
    nextOffset = offset + Int(i.length)
    return i
  }

  // MARK: One instruction

  mutating func emit(_ i: Instruction) -> Outcome {
    // 16-bit addressing is rare outside of 16-bit code.
    if i.hasMemoryOperand, i.addressSize == 2 { return .refused }
    if i.encoding == .evex { return .refused }
    guard cpu.env.features.contains(i.feature) else { return .refused }
    if i.traits.contains(.x87) { return emitX87(i) }
    if !i.traits.isDisjoint(with: [.mmx, .sse, .avx]), HostInstruction.handles(i) {
      return emitVector(i)
    }
    if i.encoding == .vex { return emitBitManipulation(i) }
    switch i.operation {
    case .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .mov, .movzx, .movsx, .movsxd,
      .inc, .dec, .neg, .not, .mul, .imul, .div, .idiv, .setcc, .cmovcc, .xadd, .xchg, .cmpxchg,
      .bsf, .bsr, .tzcnt, .lzcnt, .popcnt, .bt, .bts, .btr, .btc, .rol, .ror, .rcl, .rcr, .shl,
      .shr, .sar, .shld, .shrd, .adcx, .adox, .movbe, .crc32, .cmpxchg8b, .cmpxchg16b:
      return emitGeneral(i)
    case .movs, .stos: return emitString(i)
    case .bswap: return emitByteSwap(i)
    case .lea: return emitLoadAddress(i)
    case .cbw, .cwd, .lahf, .sahf, .clc, .stc, .cmc:
      if i.prefixes.contains(.operandSize) { code.byte(0x66) }
      if i.prefixes.contains(.rexW) { code.byte(0x48) }
      code.byte(i.opcode)
      return .emitted
    case .nop, .endbr, .prefetch, .prefetchw: return .emitted
    case .pause: return emitPause(i)
    case .lfence, .mfence, .sfence:
      code.bytes(0x0F, 0xAE, i.modRM)
      return .emitted
    case .cld, .std, .cli, .sti, .clac, .stac, .pushf, .swapgs, .movSegment:
      return emitSystem(i)
    case .push: return emitPush(i)
    case .pop: return emitPop(i)
    case .leave: return emitLeave(i)
    case .syscall: return emitSystemCall(i)
    case .sysret: return emitSystemReturn(i)
    case .jcc: return emitConditionalJump(i)
    case .jmp: return emitJump(i)
    case .call: return emitCall(i)
    case .ret: return emitReturn(i)
    default: return .refused
    }
  }

  /// Has the interpreter execute the instruction: leaves at its slow site, and goes on behind.
  mutating func emitInterpreted(_ i: Instruction) {
    recoverFlags()
    let site = requireSlowSite(i)
    countInterpreted(i, site)
    unsafe code.leave(site, stubs.exit)
    finishSlowSite()
    // It may have changed anything.
    effect = .none
    source = .none
  }

  /// Has a slow site count as the instruction's being interpreted, and not as a miss.
  func countInterpreted(_ i: Instruction, _ site: UInt32) {
    unsafe translator.sites[Int(site)].isRefused = true
    unsafe translator.sites[Int(site)].target = Int32(i.operation.rawValue)
  }

  // MARK: Sites

  /// The current instruction's slow site.
  mutating func requireSlowSite(_ i: Instruction) -> UInt32 {
    if slowSite != ~0 { return slowSite }
    var micro = cpu.lower(i)
    micro.offset = UInt16(offset - blockOffset)
    cpu.finish(&micro, i)
    slowSite = translator.append(
      Site(
        kind: .slow, live: liveRegisters, executed: UInt16(executed),
        blockOffset: UInt16(blockOffset), micro: translator.append(micro)))
    return slowSite
  }

  /// Says where code goes on after the current instruction's slow site.
  mutating func finishSlowSite() {
    guard slowSite != ~0 else { return }
    unsafe translator.sites[Int(slowSite)].resume = translator.offset(code.cursor)
  }

  private var liveRegisters: UInt8 {
    let vectors = key.has(TranslationKey.avx) ? LiveRegisters.wideVectors : LiveRegisters.vectors
    return (vectorsLoaded ? vectors : 0) | (x87Loaded ? LiveRegisters.x87 : 0)
  }

  /// JMP to the current instruction's slow site, out of line.
  mutating func jumpToSlowSite(_ i: Instruction) {
    let site = requireSlowSite(i)
    unsafe addPending(code.jump(nil), site: site)
  }

  mutating func addPending(_ place: UnsafeMutablePointer<UInt8>, site: UInt32) {
    // SAFETY: `isFull` ends the block in time.
    unsafe (translator.pending + pendingCount).initialize(
      to: PendingJump(place: place, site: site, flags: flagsNow, isEdge: false))
    pendingCount += 1
  }

  mutating func addPendingEdge(
    _ place: UnsafeMutablePointer<UInt8>, executed: Int, target: Int32
  ) {
    unsafe (translator.pending + pendingCount).initialize(
      to: PendingJump(
        place: place, site: 0, isEdge: true, executed: UInt16(executed), target: target))
    pendingCount += 1
  }

  /// Whether the block must end for want of room for jumps.
  ///
  /// What is put off (runs, groups) comes on top, at most twice a block's instructions.
  var isFull: Bool { pendingCount + 32 > Translator.pendingCapacity / 4 }

  /// The host may refuse the instruction that is emitted next; the interpreter then raises what is due.
  mutating func noteFault(_ i: Instruction) {
    let site = requireSlowSite(i)
    let offset = unsafe translator.offset(code.cursor)
    if offset < Translator.coldStart {
      translator.faults.append(offset, site: site)
      faultSources.append(flagsNow)
    } else {
      translator.coldFaults.append(offset - Translator.coldStart, site: site)
      coldFaultSources.append(flagsNow)
    }
  }

  /// Where the flags are to be had from at this point; none: they are the host's.
  var flagsNow: FlagSource { flagsInHost ? .none : source }

  /// Leaves at a site, with the guest's flags in the host's.
  private mutating func leave(_ site: UInt32, _ flags: FlagSource) {
    if flags != .none { emitRecovery(flags) }
    unsafe code.leave(site, stubs.exit)
  }

  /// Emits the edges of conditional branches that have been put off since it was last called.
  private mutating func emitPendingEdges() {
    flagsInHost = true
    while pendingEdges < pendingCount {
      let jump = unsafe translator.pending[pendingEdges]
      pendingEdges += 1
      guard jump.isEdge else { continue }
      unsafe Assembler.patch(jump.place, code.cursor)
      emitEdge(executed: Int(jump.executed), target: jump.target)
    }
  }

  /// Emits the ways to sites.
  private mutating func emitPending() {
    var last: UInt32 = ~0
    var lastFlags = FlagSource.none
    var stub = unsafe code.cursor
    var position = 0
    while position < pendingCount {
      let jump = unsafe translator.pending[position]
      position += 1
      if jump.isEdge { continue }
      if let retry = unsafe jump.retry {
        unsafe Assembler.patch(jump.place, code.cursor)
        if jump.isSearch { code.moveImmediate(Host.rcx, UInt64(key.rawValue)) }
        code.byte(0xE8)  // call
        _ = unsafe code.displacement(
          to: jump.isSearch
            ? stubs.findTarget
            : (jump.isShort ? stubs.shortRefills : stubs.refills)[Int(jump.refill)])
        let found = unsafe emitForwardCounterJump()
        last = jump.site
        lastFlags = jump.flags
        unsafe stub = code.cursor
        leave(jump.site, jump.flags)
        unsafe land(found)
        unsafe code.jump(retry)
        continue
      }
      if jump.site != last || jump.flags != lastFlags {
        last = jump.site
        lastFlags = jump.flags
        unsafe stub = code.cursor
        leave(jump.site, jump.flags)
      }
      unsafe Assembler.patch(jump.place, stub)
    }
  }

  /// Emits where the signal handler goes on: a way out for each site again.
  private mutating func emitFaultStubs(
    _ table: FaultTable, _ first: Int, _ sources: [FlagSource], base: UInt32
  ) {
    for number in first..<table.count {
      table.setStub(number, unsafe translator.offset(code.cursor) &- base)
      leave(table.site(number), sources[number - first])
    }
  }
}
