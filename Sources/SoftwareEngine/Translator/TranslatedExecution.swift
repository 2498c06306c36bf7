import CHost
import EngineInterface
import GuestMemory
import X86
import X86Decoder

/// How the interpreter's loop goes on after looking for translated code.
enum TranslatedOutcome {
  /// There is none: interpret the block.
  case interpret
  /// Something was executed; look up what comes next.
  case lookAgain
  case exit(VMExit)
}

/// Entering translated code, and serving the sites that it leaves at.
extension CPU {
  /// Runs translated code from the instruction pointer on, which `block` starts at, if there is any; has it
  /// made if the block is hot.
  @inline(__always)
  func runTranslated(
    _ translator: Translator, _ block: UnsafePointer<Block>
  ) -> TranslatedOutcome {
    // A budget's last instructions are the interpreter's, and so is what a signed number does not hold.
    guard
      !state.isBudgetLimited
        || (UInt64(Translator.planCapacity)..<1 << 63).contains(state.budget)
    else { return .interpret }
    // SAFETY: `heat` points into the cache's table, which is this CPU's.
    let heat = unsafe env.blocks.heat(block.pointee.physical)
    // A straddling instruction costs the interpreter a decoding each time.
    guard unsafe heat.pointee >= env.translationThreshold || block.pointee.physical == ~0 else {
      unsafe heat.pointee &+= 1
      return .interpret
    }
    return unsafe runHot(translator, block)
  }

  @inline(never)
  private func runHot(
    _ translator: Translator, _ block: UnsafePointer<Block>
  ) -> TranslatedOutcome {
    let key = translationKey
    guard key != .none else { return .interpret }
    let linear = (state.linearBase[1] &+ rip) & state.linearMask
    let address = state.codeRAMPage << 12 | (linear & 4095)
    var number = translator.find(address, key)
    if number == 0 {
      number = translate(translator, address, key)
      guard number != 0 else { return .interpret }
      // Code that is written over must prove itself again.
      unsafe env.blocks.heat(block.pointee.physical).pointee = 0
    }
    return runTranslated(translator, number, key)
  }

  private func runTranslated(
    _ translator: Translator, _ first: UInt32, _ key: TranslationKey
  ) -> TranslatedOutcome {
    var key = key
    var number = first
    let budget = state.isBudgetLimited ? state.budget : 0
    translation.count = budget
    defer {
      let executed = budget &- translation.count
      state.retired &+= executed
      if state.isBudgetLimited { state.budget &-= executed }
      unsafe translator.statistics.pointee.executions &+= executed
      translation.count = 0
    }
    loadFlagsForHost()
    while true {
      // Enter at a block.
      var target = unsafe translator.blocks[Int(number)].entry
      var live: UInt8 = 0
      translation.codePage = rip & ~4095
      var isAtBlock = true
      inner: while true {
        if !openGates() {
          // In the middle of a block code goes on to the next edge.
          if isAtBlock {
            storeFlagsFromHost()
            return .lookAgain
          }
          closeGates()
        }
        isAtBlock = false
        unsafe translator.statistics.pointee.entries &+= 1
        unsafe translator.enter(pointer, target, live: live)
        if translation.x87Note != 0 { noteX87Pointers() }
        if translation.key != 0 {
          key = TranslationKey(rawValue: translation.key)
          translation.key = 0
        }
        let site = unsafe translator.sites[Int(translation.site)]
        switch site.kind {
        case .slow:
          if site.isRefused {
            unsafe translator.interpreted[Int(site.target)] &+= 1
          } else if unsafe isIndirectBranch(translator.micros[Int(site.micro)].handler) {
            unsafe translator.statistics.pointee.indirectExits &+= 1
          } else {
            unsafe translator.statistics.pointee.memoryExits &+= 1
          }
          storeFlagsFromHost()
          switch executeSlow(translator, site, &key) {
          case .resume:
            loadFlagsForHost()
            target = site.resume
            live = site.live
            translation.x87Page = translation.codePage
            continue inner
          case .moved:
            guard attention == 0, key != .none, let next = findTranslation(translator, key) else {
              return .lookAgain
            }
            loadFlagsForHost()
            number = next
            break inner
          case .lookAgain: return .lookAgain
          case .exit(let exit): return .exit(exit)
          }
        case .target:
          unsafe translator.statistics.pointee.indirectExits &+= 1
          rip = translation.scratch
          if attention == 0 { enterTarget(translator, key) }
        case .edge:
          unsafe translator.statistics.pointee.edgeExits &+= 1
          rip =
            (translation.codePage &+ UInt64(bitPattern: Int64(site.target)))
            & state.linearMask
        case .pageEdge:
          unsafe translator.statistics.pointee.pageEdgeExits &+= 1
          rip =
            (translation.scratch &+ UInt64(bitPattern: Int64(site.target)))
            & state.linearMask
        case .straddle:
          rip = translation.codePage &+ UInt64(site.blockOffset)
          storeFlagsFromHost()
          leaveStraddling(translator, site, key)
          return .lookAgain
        case .dead:
          rip = translation.codePage &+ UInt64(site.blockOffset)
        case .budget:
          rip = translation.codePage &+ UInt64(site.blockOffset)
          storeFlagsFromHost()
          return .lookAgain
        }
        guard attention == 0, let next = findTranslation(translator, key) else {
          storeFlagsFromHost()
          return .lookAgain
        }
        link(translator, site, next)
        number = next
        break inner
      }
    }
  }

  // MARK: Gates

  /// Lets translated code run on until attention is raised; `false` if it is.
  @inline(__always)
  private func openGates() -> Bool {
    // Open still: who raises attention from now on closes them.
    // SAFETY: raisers set `attention` first and close the gates then, `running` before `jumpMask`, so that either
    // they are seen here or the gates end up closed.
    if unsafe (frame.pointee.running != 0 && frame.pointee.jumpMask != 0) { return attention == 0 }
    unsafe frame.pointee.jumpMask = JumpTable.indexMask
    unsafe withUnsafeMutablePointer(to: &frame.pointee.running) {
      _ = unsafe chost_exchange32($0, 1)
    }
    return attention == 0
  }

  private func closeGates() {
    translation.running = 0
    translation.jumpMask = 0
  }

  // MARK: Flags

  @inline(__always)
  private func loadFlagsForHost() {
    let flags = arithmeticFlags
    translation.flags = (flags & 0xD5 | 2) << 8 | flags >> 11 & 1
  }

  @inline(__always)
  private func storeFlagsFromHost() {
    let flags = translation.flags
    arithmeticFlags = flags >> 8 & 0xD5 | (flags & 1) << 11
  }

  // MARK: Sites

  private enum SlowOutcome {
    /// The instruction is complete; code goes on behind it. The instruction pointer is the block's start.
    case resume
    /// The instruction pointer, and perhaps the key, changed.
    case moved
    case lookAgain
    case exit(VMExit)
  }

  /// Has the interpreter execute the instruction of a slow site.
  private func executeSlow(
    _ translator: Translator, _ site: Site, _ key: inout TranslationKey
  ) -> SlowOutcome {
    let op = unsafe Micro(pointer: UnsafePointer(translator.micros + Int(site.micro)))
    rip = (translation.codePage &+ UInt64(site.blockOffset)) & state.linearMask
    let handler = op.handler
    switch execute(op) {
    case .next:
      if attention != 0 || changesKey(handler) && translationKey != key
        || state.codeLinearPage == CodePage.forgotten && !isOnCodePage
      {
        rip = rip &+ op.nextOffset
        translation.count &-= UInt64(site.executed) &+ 1
        return .lookAgain
      }
      return .resume
    case .jump:
      translation.count &-= UInt64(site.executed) &+ 1
      if changesKey(handler) {
        key = translationKey
        // From now on without the interpreter.
        if changesRing(site), key != .none, attention == 0 { enterTarget(translator, key) }
      } else if attention == 0, isIndirectBranch(handler) {
        enterTarget(translator, key)
      }
      return .moved
    case .stop:
      translation.count &-= UInt64(site.executed)
      if let exit = stopped(op) { return .exit(exit) }
      key = translationKey
      return .moved
    }
  }

  /// After a TLB flush: looks up the page that is being executed again.
  private var isOnCodePage: Bool {
    let page = translation.codePage
    let physical = state.codePhysicalPage
    return findCodePage(page) && state.codePhysicalPage == physical
  }

  /// Whether an instruction may change what the key says.
  private func changesKey(_ handler: Handler) -> Bool {
    switch handler {
    case .cold, .popf, .popSegment, .undefined: true
    default: false
    }
  }

  private func isIndirectBranch(_ handler: Handler) -> Bool {
    switch handler {
    case .ret, .jmpIndirect, .callIndirect: true
    default: false
    }
  }

  /// Whether a slow site is that of SYSCALL or SYSRET.
  private func changesRing(_ site: Site) -> Bool {
    site.isRefused
      && (site.target == Int32(Operation.syscall.rawValue)
        || site.target == Int32(Operation.sysret.rawValue))
  }

  /// Enters the instruction pointer in the jump table, if there is translated code.
  private func enterTarget(_ translator: Translator, _ key: TranslationKey) {
    guard let next = findTranslation(translator, key) else { return }
    let entry = unsafe translator.blocks[Int(next)].indirect_entry
    let set = unsafe state.privilegeLevel == 3 ? state.userTLB : state.supervisorTLB
    let isGlobal = unsafe TLBEntry(set, rip).executeFlags & TLBEntryFlags.global != 0
    env.tlb.jumps.insert(rip, translator.executable(entry), key, isGlobal: isGlobal)
  }

  /// The translated block at the instruction pointer.
  private func findTranslation(_ translator: Translator, _ key: TranslationKey) -> UInt32? {
    let linear = (state.linearBase[1] &+ rip) & state.linearMask
    if linear & ~4095 != state.codeLinearPage {
      guard findCodePage(linear) else {
        // The fault is raised again when the instruction's turn comes.
        state.stop = .none
        return nil
      }
    }
    let number = translator.find(state.codeRAMPage << 12 | (linear & 4095), key)
    return number == 0 ? nil : number
  }

  /// Has an edge lead to a block.
  private func link(_ translator: Translator, _ site: Site, _ number: UInt32) {
    guard site.patch != 0 else { return }
    let entry = unsafe translator.writable(translator.blocks[Int(number)].entry)
    if site.keyPatch != 0 {
      let key = unsafe UnsafeMutableRawPointer(translator.writable(site.keyPatch))
      unsafe key.storeBytes(
        of: Int32(truncatingIfNeeded: 0 &- Int64(state.codeRAMPage)), as: Int32.self)
    }
    unsafe Assembler.patch(translator.writable(site.patch), entry)
  }

  // MARK: Invalidation

  /// Throws all translated code away, with the targets that lead into it.
  func flushTranslations() {
    env.translator?.flush()
    env.tlb.jumps.flushAll()
  }

  /// Kills translated code that was written over.
  func dropRewrittenCode() {
    guard let translator = env.translator else { return }
    guard let pages = env.memory.codeTracker.invalidations(since: &env.seenInvalidations) else {
      return flushTranslations()
    }
    let generation = translator.generation
    for page in pages { translator.invalidate(ramPage: Int(page)) }
    if translator.generation != generation { env.tlb.jumps.flushAll() }
  }

  // MARK: Translation

  /// Translates the code at the instruction pointer. 0: there is none that can be.
  private func translate(
    _ translator: Translator, _ address: UInt64, _ key: TranslationKey
  ) -> UInt32 {
    makeRoomForCode()
    if translator.isNearlyFull { flushTranslations() }
    let start = Int(address & 4095)
    var total = plan(translator, start: start)
    var secondPage: UInt32?
    if total == 0 {
      secondPage = planStraddling(translator, start: start)
      guard secondPage != nil else { return 0 }
      total = 1
    }
    let firstFaults = (translator.faults.count, translator.coldFaults.count)
    func emit(hasGroups: Bool) -> BlockEmitter {
      var emitter = BlockEmitter(translator, self, key, start: start)
      emitter.emitEntry(total, isStraddling: secondPage != nil)
      if let secondPage { emitter.emitSecondPageCheck(secondPage) }
      emitter.emitBlock(total, hasGroups: hasGroups)
      return emitter
    }
    var emitter = emit(hasGroups: true)
    if emitter.groupsAreRefused {
      translator.faults.drop(from: firstFaults.0)
      translator.coldFaults.drop(from: firstFaults.1)
      emitter = emit(hasGroups: false)
    }
    let count = emitter.blockLength
    let indirectEntry = unsafe translator.cursor
    let entry = unsafe emitter.entry
    unsafe translator.cursor = emitter.hotEnd.unsafelyUnwrapped
    unsafe translator.coldCursor = emitter.code.cursor
    unsafe translator.statistics.pointee.blocks &+= 1
    unsafe translator.statistics.pointee.instructions &+= UInt64(count)
    let number = translator.insert(
      TranslatedBlock(
        address: address, key: key.rawValue, entry: unsafe translator.offset(entry),
        indirect_entry: unsafe translator.offset(indirectEntry), dependent: 0, next: 0,
        next_in_page: 0),
      ramPage: Int(state.codeRAMPage))
    if let secondPage { translator.insertDependence(of: number, onPage: Int(secondPage)) }
    traceBlock(
      translator, number, length: count,
      byteCount: unsafe Int(translator.offset(translator.cursor) - translator.offset(entry)))
    return number
  }
}
