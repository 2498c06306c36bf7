import EngineInterface
import MachineTypes
import X86
import X86Decoder

/// The interpreter's loops: blocks at full speed, and one instruction at a time where attention is due.
extension CPU {
  // MARK: Exits and entries

  /// Takes the machine's answer to the last exit.
  func complete(_ entry: VMEntry) {
    let kind = state.exit.kind
    state.exit = .none
    switch entry {
    case .completeRead(let value):
      guard state.replay.valueCount < 64 else { return }
      state.replay.values[Int(state.replay.valueCount)] = value
      state.replay.valueCount &+= 1
    case .resume:
      switch kind {
      case .portWrite, .mmioWrite, .msrWrite: state.replay.writeCount &+= 1
      default: break
      }
    case .injectGeneralProtection:
      endReplay()
      raise(.generalProtection, 0)
      deliverRecordedFault()
    }
    state.replay.cursor = 0
    state.replay.writeCursor = 0
  }

  private var isReplaying: Bool {
    state.replay.valueCount != 0 || state.replay.writeCount != 0
  }

  /// The recorded exit in the machine's terms.
  private func takeExit() -> VMExit {
    let exit = state.exit
    let width = AccessWidth(rawValue: exit.width) ?? .byte
    state.stop = .none
    switch exit.kind {
    case .portRead: return .portRead(PortAddress(UInt16(truncatingIfNeeded: exit.address)), width)
    case .portWrite:
      return .portWrite(
        PortAddress(UInt16(truncatingIfNeeded: exit.address)), width,
        UInt32(truncatingIfNeeded: exit.value))
    case .mmioRead: return .mmioRead(GuestPhysicalAddress(exit.address), width)
    case .mmioWrite: return .mmioWrite(GuestPhysicalAddress(exit.address), width, exit.value)
    case .msrRead: return .msrRead(MSRIndex(rawValue: UInt32(truncatingIfNeeded: exit.address)))
    case .msrWrite:
      return .msrWrite(
        MSRIndex(rawValue: UInt32(truncatingIfNeeded: exit.address)), exit.value)
    case .hypercall:
      let is64Bit = state.mode.is64Bit
      let width: UInt8 = is64Bit ? 8 : 4
      return .hypercall(
        Hypercall(
          number: register(.rax, width: width),
          arguments: [GeneralRegister.rbx, .rcx, .rdx, .rsi].map { register($0, width: width) },
          privilegeLevel: state.privilegeLevel, is64Bit: is64Bit))
    case .shutdown: return .shutdown
    case .halt, .none, .endOfInterrupt: return .halt
    }
  }

  // MARK: The loop

  func run() -> VMExit {
    enterGuest()
    defer { leaveGuest() }
    // An instruction that waits for the machine's answer goes before everything else.
    if isReplaying {
      if let exit = step() { return exit }
    }
    while true {
      if attention != 0 {
        if let exit = serveAttention() { return exit }
      }
      if attention & Attention.singleStep != 0 {
        if let exit = step() { return exit }
      } else if let exit = runBlocks() {
        return exit
      }
    }
  }

  /// Runs blocks until attention is raised. `nil`: serve it and go on.
  @inline(never)
  private func runBlocks() -> VMExit? {
    while attention == 0 {
      guard let block = unsafe lookUpBlock() else {
        deliverRecordedFault()
        return nil
      }
      if let translator = env.translator {
        switch unsafe runTranslated(translator, block) {
        case .interpret: break
        case .lookAgain: continue
        case .exit(let exit): return exit
        }
      }
      // SAFETY: a block's instructions lie in the arena, which is emptied only by `lookUpBlock`.
      let count = unsafe UInt64(block.pointee.count)
      if state.budget < count {
        guard state.budget > 0 else { return .budgetExhausted }
        return step()
      }
      state.budget &-= count
      state.retired &+= count
      let byteLength = unsafe UInt64(block.pointee.byteLength)
      let first = unsafe block.pointee.first
      let end = unsafe first + Int(count)
      var current = unsafe first
      blockLoop: while true {
        let op = unsafe Micro(pointer: current)
        let status = execute(op)
        unsafe current += 1
        if status == .next {
          if unsafe current == end {
            rip = rip &+ byteLength
            break blockLoop
          }
          if attention == 0 { continue }
          rip = rip &+ op.nextOffset
          giveBack(unsafe UInt64(end - current))
          return nil
        }
        if status == .jump {
          if unsafe current != end { giveBack(unsafe UInt64(end - current)) }
          break blockLoop
        }
        giveBack(unsafe UInt64(end - current) &+ 1)
        if let exit = stopped(op) { return exit }
        break blockLoop
      }
    }
    return nil
  }

  /// Instructions of a block that were not executed do not count.
  @inline(__always)
  private func giveBack(_ count: UInt64) {
    state.budget = state.isBudgetLimited ? state.budget &+ count : .max
    state.retired &-= count
  }

  /// An instruction stopped short of completing.
  func stopped(_ op: Micro) -> VMExit? {
    let stop = state.stop
    if stop == .fault, state.faultBelongsToNewTask {
      state.faultBelongsToNewTask = false
    } else {
      rip = rip &+ UInt64(op.offset)
    }
    switch stop {
    case .fault:
      endReplay()
      deliverRecordedFault()
      return nil
    case .exit:
      return takeExit()
    case .restart, .none:
      state.stop = .none
      return nil
    }
  }

  /// Delivers the recorded fault; a triple fault makes the next attention a shutdown.
  func deliverRecordedFault() {
    if !deliverFault() {
      state.activity = .shutdown
      raiseAttention(Attention.interrupt)
    }
    state.stop = .none
  }

  // MARK: One instruction

  /// Executes exactly one instruction and does what follows it: the trap of TF, the end of a shadow, RF.
  @inline(never)
  private func step() -> VMExit? {
    guard state.budget > 0 else { return .budgetExhausted }
    guard let block = unsafe lookUpBlock() else {
      deliverRecordedFault()
      return nil
    }
    // SAFETY: as in `runBlocks`.
    let op = unsafe Micro(pointer: block.pointee.first)
    let wasTrapping = state.otherFlags & Flags.trap.rawValue != 0
    let hadResume = state.otherFlags & Flags.resume.rawValue != 0
    let shadow = state.interruptShadow
    state.interruptShadow = false
    let isSoftwareInterrupt = op.handler == .cold && isInterrupt(op)
    switch execute(op) {
    case .next: rip = rip &+ op.nextOffset
    case .jump: break
    case .stop:
      let isBetweenElements = state.stop == .restart
      let exit = stopped(op)
      if exit != nil { state.interruptShadow = shadow }
      if isBetweenElements {
        // A repeated string instruction traps after every element.
        state.otherFlags &= ~Flags.resume.rawValue
        if wasTrapping { state.pendingDebugTrap |= 1 << 14 }
      }
      return exit
    }
    endReplay()
    if state.isBudgetLimited { state.budget &-= 1 }
    state.retired &+= 1
    if hadResume, !restoresFlags(op) { state.otherFlags &= ~Flags.resume.rawValue }
    if wasTrapping, !isSoftwareInterrupt { state.pendingDebugTrap |= 1 << 14 }
    return nil
  }

  private func isInterrupt(_ op: Micro) -> Bool {
    // SAFETY: lowering stored the index of a kept instruction.
    switch unsafe env.blocks.cold[Int(op.immediate)].operation {
    case .intImmediate, .int3, .int1, .into: true
    default: false
    }
  }

  /// IRET and POPF set RF for the instruction after them.
  private func restoresFlags(_ op: Micro) -> Bool {
    if op.handler == .popf { return true }
    guard op.handler == .cold else { return false }
    return unsafe env.blocks.cold[Int(op.immediate)].operation == .iret
  }

  // MARK: Attention

  /// Serves what is due between two instructions, highest priority first (SDM 3A table 6-2).
  @inline(never)
  private func serveAttention() -> VMExit? {
    clearAttention(Attention.codeChanged | Attention.interrupt)
    carryOutClosings()
    dropRewrittenCode()
    if !env.endedInterrupts.isEmpty {
      let vector = env.endedInterrupts.removeFirst()
      if !env.endedInterrupts.isEmpty { raiseAttention(Attention.interrupt) }
      // What else was due is looked at again on the way back in.
      raiseAttention(Attention.interrupt)
      return .endOfInterrupt(InterruptVector(rawValue: vector))
    }
    if state.activity == .shutdown { return .shutdown }
    serveSignals()
    if attention & Attention.kick != 0 {
      clearAttention(Attention.kick)
      raiseAttention(Attention.interrupt)
      return .interrupted
    }
    if state.activity == .waitingForStartup { return .halt }
    servePendingTrap()
    serveInterrupts()
    if state.activity == .halted {
      raiseAttention(Attention.interrupt)
      return .halt
    }
    if state.activity == .shutdown { return .shutdown }
    serveInstructionBreakpoints()
    updateStepping()
    return nil
  }

  /// Keeps the loop stepping while TF, RF, a shadow or instruction breakpoints call for it.
  private func updateStepping() {
    let flags = Flags.trap.rawValue | Flags.resume.rawValue
    let steps =
      state.interruptShadow || state.pendingDebugTrap != 0 || state.otherFlags & flags != 0
      || hasInstructionBreakpoints
    if steps {
      raiseAttention(Attention.singleStep)
    } else {
      clearAttention(Attention.singleStep)
    }
  }

  private func servePendingTrap() {
    guard state.pendingDebugTrap != 0 else { return }
    if state.interruptShadow, state.shadowBlocksDebug { return }
    state.dr6 = state.dr6 & ~0xF | 0xFFFF_0FF0 | state.pendingDebugTrap
    state.pendingDebugTrap = 0
    wakeFromHalt()
    if !deliver(ExceptionVector.debug.rawValue, errorCode: nil, source: .exception) {
      state.activity = .shutdown
    }
  }

  private func wakeFromHalt() {
    if state.activity == .halted { state.activity = .running }
  }

  /// NMI, then the local APIC's or the 8259's interrupt.
  private func serveInterrupts() {
    guard !state.interruptShadow else { return }
    if !state.nonMaskableMasked, env.apic.takeNonMaskableInterrupt() {
      wakeFromHalt()
      state.nonMaskableMasked = true
      deliverEvent(2)
      return
    }
    guard state.otherFlags & Flags.interruptEnable.rawValue != 0 else {
      state.hasHeldInterrupt = env.apic.deliverableVector() != nil || hasExternalInterrupt
      return
    }
    state.hasHeldInterrupt = false
    if let vector = env.apic.deliverableVector() {
      env.apic.acknowledge(vector)
      wakeFromHalt()
      deliverEvent(vector)
    } else if hasExternalInterrupt, let source = env.externalInterrupts {
      wakeFromHalt()
      deliverEvent(source.acknowledge().rawValue)
    }
    // Another may be waiting behind this one.
    state.hasHeldInterrupt = env.apic.deliverableVector() != nil || hasExternalInterrupt
  }

  private func deliverEvent(_ vector: UInt8) {
    if !deliver(vector, errorCode: nil, source: .external) { state.activity = .shutdown }
  }

  private var hasExternalInterrupt: Bool {
    guard let source = env.externalInterrupts, source.isInterruptRequested else { return false }
    return env.apic.acceptsExternalInterrupts
  }

  /// Whether a halted CPU has cause to run again.
  var hasWakingEvent: Bool {
    if env.apic.hasSignal { return true }
    guard state.activity == .halted else { return state.activity == .running }
    if !state.nonMaskableMasked, env.apic.isNonMaskableInterruptPending { return true }
    guard state.otherFlags & Flags.interruptEnable.rawValue != 0 else { return false }
    return env.apic.deliverableVector() != nil || hasExternalInterrupt
  }

  /// INIT and SIPI.
  private func serveSignals() {
    if env.apic.takeInit() {
      resetRegisters(isInit: true)
      state.activity = index == .bootstrap ? .running : .waitingForStartup
      raiseAttention(Attention.interrupt)
    }
    if let page = env.apic.takeStartup(), state.activity == .waitingForStartup {
      state.segments[1] = Segment(
        selector: UInt16(page) << 8, base: UInt64(page) << 12, limit: 0xFFFF, attributes: 0x9B)
      rip = 0
      state.activity = .running
      recomputeMode()
    }
  }

  private var index: VirtualCPUIndex { env.index }

  // MARK: Instruction breakpoints

  private var hasInstructionBreakpoints: Bool {
    let dr7 = state.dr7
    guard dr7 & 0xFF != 0 else { return false }
    for index in UInt64(0)..<4 where dr7 >> (2 * index) & 3 != 0 {
      if dr7 >> (16 + 4 * index) & 3 == 0 { return true }
    }
    return false
  }

  private func serveInstructionBreakpoints() {
    guard hasInstructionBreakpoints, state.otherFlags & Flags.resume.rawValue == 0,
      !(state.interruptShadow && state.shadowBlocksDebug)
    else { return }
    let linear = (state.linearBase[1] &+ rip) & state.linearMask
    var hits: UInt64 = 0
    for index in UInt64(0)..<4 where state.dr7 >> (2 * index) & 3 != 0 {
      if state.dr7 >> (16 + 4 * index) & 3 == 0, state.debugAddresses[Int(index)] == linear {
        hits |= 1 << index
      }
    }
    guard hits != 0 else { return }
    state.dr6 = state.dr6 & ~0xF | 0xFFFF_0FF0 | hits
    let vector = ExceptionVector.debug.rawValue
    if !deliver(vector, errorCode: nil, source: .exception, setsResume: true) {
      state.activity = .shutdown
      raiseAttention(Attention.interrupt)
    }
  }
}
