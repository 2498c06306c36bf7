import X86

/// Delivery of exceptions and interrupts (SDM 3A chapter 6).
extension CPU {
  /// Where an event comes from: it decides privilege checks and the EXT bit.
  enum EventSource: UInt8 {
    case exception
    /// INT n, INT3, INTO: the gate's DPL is checked.
    case software
    /// INT1.
    case privilegedSoftware
    /// Interrupts and NMI.
    case external
  }

  /// Contributory exceptions combine into #DF (SDM 3A table 6-5).
  private static func isContributory(_ vector: UInt8) -> Bool {
    vector == 0 || (10...13).contains(vector)
  }

  /// Delivers the recorded exception, and what delivery itself raises. `rip` must be the faulting
  /// instruction's. Returns false on a triple fault: shutdown.
  func deliverFault() -> Bool {
    let vector = state.faultVector
    let errorCode = state.faultHasErrorCode ? state.faultErrorCode : nil
    // Faults set RF in the image they push; traps (#DB, #BP, #OF) do not come this way, save #DB faults.
    return deliver(vector, errorCode: errorCode, source: .exception, setsResume: true)
  }

  /// Delivers an event, escalating to #DF and to shutdown (false).
  func deliver(
    _ vector: UInt8, errorCode: UInt32?, source: EventSource, setsResume: Bool = false
  ) -> Bool {
    var vector = vector
    var errorCode = errorCode
    var source = source
    var setsResume = setsResume
    while true {
      state.stop = .none
      traceDelivery(vector, errorCode, source)
      if attempt(vector, errorCode: errorCode, source: source, setsResume: setsResume) {
        return true
      }
      // Delivery itself faulted (or touched a device, which has no business there).
      guard state.stop == .fault else { return false }
      let second = state.faultVector
      let secondCode = state.faultHasErrorCode ? state.faultErrorCode : nil
      let isExternal = source == .external || source == .exception
      if vector == 8 { return false }
      let firstIsFault = source == .exception
      let combines =
        firstIsFault
        && ((CPU.isContributory(vector) && CPU.isContributory(second))
          || (vector == 14 && (second == 14 || CPU.isContributory(second))))
      if combines {
        vector = 8
        errorCode = 0
      } else {
        vector = second
        // EXT is set when the event being delivered was not the program's own doing.
        errorCode = secondCode.map { second == 14 ? $0 : $0 | (isExternal ? 1 : 0) }
      }
      source = .exception
      setsResume = vector != 8
    }
  }

  /// Tries to deliver an event; if that faults, everything is as before and the fault is recorded.
  func attempt(
    _ vector: UInt8, errorCode: UInt32?, source: EventSource, setsResume: Bool
  ) -> Bool {
    let saved = (self[.rsp], rip, state.segments, state.privilegeLevel, flags)
    if enterHandler(vector, errorCode: errorCode, source: source, setsResume: setsResume) {
      return true
    }
    if state.faultBelongsToNewTask { return false }
    self[.rsp] = saved.0
    rip = saved.1
    state.segments = saved.2
    if state.privilegeLevel != saved.3 { setPrivilegeLevel(saved.3) }
    if flags != saved.4 { flags = saved.4 }
    modeChanged()
    return false
  }

  /// Pushes the frame and goes to the handler. False: a fault was recorded, registers may be changed.
  private func enterHandler(
    _ vector: UInt8, errorCode: UInt32?, source: EventSource, setsResume: Bool
  ) -> Bool {
    if state.mode.isLong {
      return enterHandler64(vector, errorCode: errorCode, source: source, setsResume: setsResume)
    }
    guard state.mode.isProtected else { return enterRealHandler(vector) }
    return enterProtectedHandler(
      vector, errorCode: errorCode, source: source, setsResume: setsResume)
  }

  func enterRealHandler(_ vector: UInt8) -> Bool {
    let entry = UInt64(vector) * 4
    guard entry + 3 <= UInt64(state.interruptTableLimit) else {
      raise(vector == 13 ? .doubleFault : .generalProtection, 0)
      return false
    }
    guard let target = readLinear(state.interruptTableBase &+ entry, 4, .supervisor) else {
      return false
    }
    guard push(flags, width: 2), push(UInt64(state.segments[1].selector), width: 2),
      push(rip, width: 2)
    else { return false }
    let cleared =
      Flags.interruptEnable.rawValue | Flags.trap.rawValue | Flags.alignmentCheck.rawValue
    flags = flags & ~cleared
    loadParagraph(.cs, UInt16(truncatingIfNeeded: target >> 16))
    rip = target & 0xFFFF
    return true
  }

  // MARK: IA-32e mode

  private func enterHandler64(
    _ vector: UInt8, errorCode: UInt32?, source: EventSource, setsResume: Bool
  ) -> Bool {
    let gateError = UInt32(vector) << 3 | 2
    let entry = UInt64(vector) * 16
    guard entry + 15 <= UInt64(state.interruptTableLimit) else {
      raise(.generalProtection, gateError)
      return false
    }
    guard let low = readSystem64(state.interruptTableBase &+ entry),
      let high = readSystem64(state.interruptTableBase &+ entry &+ 8)
    else { return false }
    let gate = Descriptor(low: low, high: high & 0xFFFF_FFFF)
    guard !gate.isCodeOrData,
      gate.type == SystemType.interruptGate || gate.type == SystemType.trapGate
    else {
      raise(.generalProtection, gateError)
      return false
    }
    if source == .software, gate.privilegeLevel < state.privilegeLevel {
      raise(.generalProtection, gateError)
      return false
    }
    guard gate.isPresent else {
      raise(.segmentNotPresent, gateError)
      return false
    }
    let selector = gate.gateSelector
    let error = UInt32(selector & 0xFFFC)
    guard selector & 0xFFFC != 0 else {
      raise(.generalProtection, 0)
      return false
    }
    guard let code = descriptor(selector) else { return false }
    guard code.isCode, code.privilegeLevel <= state.privilegeLevel, code.isLong, !code.isBig else {
      raise(.generalProtection, error)
      return false
    }
    guard code.isPresent else {
      raise(.segmentNotPresent, error)
      return false
    }
    let newLevel = code.isConforming ? state.privilegeLevel : code.privilegeLevel
    let oldStack = (state.segments[2].selector, self[.rsp])
    let image = flags | (setsResume ? Flags.resume.rawValue : 0)
    let oldCode = state.segments[1].selector
    let oldRIP = rip
    var pointer = self[.rsp]
    let changesLevel = newLevel < state.privilegeLevel
    if gate.gateInterruptStack != 0 {
      guard let stack = stackFromTSS64(0x1C + UInt64(gate.gateInterruptStack) * 8) else {
        return false
      }
      pointer = stack
    } else if changesLevel {
      guard let stack = stackFromTSS64(4 + UInt64(newLevel) * 8) else { return false }
      pointer = stack
    }
    pointer &= ~15
    // The frame is written with the new privilege.
    let right: AccessRight = newLevel == 3 ? .user : .supervisor
    var frame: InlineArray<6, UInt64> = [
      UInt64(oldStack.0), oldStack.1, image, UInt64(oldCode), oldRIP, 0,
    ]
    var count = 5
    if let errorCode {
      frame[5] = UInt64(errorCode)
      count = 6
    }
    for position in 0..<count {
      pointer = pointer &- 8
      guard writeLinear(pointer, 8, frame[position], right, segment: 2) else { return false }
    }
    setPrivilegeLevel(newLevel)
    if changesLevel { setSegment(.ss, nullStack(UInt16(newLevel))) }
    guard install(.cs, selector & 0xFFFC | UInt16(newLevel), code) else { return false }
    self[.rsp] = pointer
    rip = gate.gateOffset
    clearFlagsForHandler(isInterruptGate: gate.type == SystemType.interruptGate)
    guard isCanonical(rip) else {
      raise(.generalProtection, 0)
      return false
    }
    return true
  }

  /// A stack pointer out of the 64-bit TSS.
  private func stackFromTSS64(_ offset: UInt64) -> UInt64? {
    guard offset + 7 <= UInt64(state.taskRegister.limit) else {
      raise(.invalidTSS, UInt32(state.taskRegister.selector & 0xFFFC))
      return nil
    }
    guard let stack = readSystem64(state.taskRegister.base &+ offset) else { return nil }
    guard isCanonical(stack) else {
      raise(.stackFault, 0)
      return nil
    }
    return stack
  }

  /// Reads a table at a 64-bit base even from compatibility mode, whose linear mask is narrow.
  func readSystem64(_ linear: UInt64) -> UInt64? { readLinear(linear, 8, .supervisor) }

  private func clearFlagsForHandler(isInterruptGate: Bool) {
    var cleared =
      Flags.trap.rawValue | Flags.nestedTask.rawValue | Flags.resume.rawValue
      | Flags.virtual8086.rawValue
    if isInterruptGate { cleared |= Flags.interruptEnable.rawValue }
    flags = flags & ~cleared
  }

  // MARK: Protected mode

  private func enterProtectedHandler(
    _ vector: UInt8, errorCode: UInt32?, source: EventSource, setsResume: Bool
  ) -> Bool {
    let gateError = UInt32(vector) << 3 | 2
    let entry = UInt64(vector) * 8
    guard entry + 7 <= UInt64(state.interruptTableLimit) else {
      raise(.generalProtection, gateError)
      return false
    }
    guard let low = readSystem(state.interruptTableBase &+ entry, 8) else { return false }
    let gate = Descriptor(low: low)
    let type = gate.type
    let isGate =
      !gate.isCodeOrData
      && (type == SystemType.taskGate || type == SystemType.interruptGate16
        || type == SystemType.trapGate16 || type == SystemType.interruptGate
        || type == SystemType.trapGate)
    guard isGate, source != .software || gate.privilegeLevel >= state.privilegeLevel else {
      raise(.generalProtection, gateError)
      return false
    }
    guard gate.isPresent else {
      raise(.segmentNotPresent, gateError)
      return false
    }
    if type == SystemType.taskGate {
      if setsResume { state.otherFlags |= Flags.resume.rawValue }
      guard switchTask(gate.gateSelector, .gate) else { return false }
      if let errorCode {
        let width: UInt8 = state.taskRegister.attributes & 8 != 0 ? 4 : 2
        return push(UInt64(errorCode), width: width)
      }
      return true
    }
    let selector = gate.gateSelector
    let error = UInt32(selector & 0xFFFC)
    guard selector & 0xFFFC != 0 else {
      raise(.generalProtection, 0)
      return false
    }
    guard let code = descriptor(selector) else { return false }
    guard code.isCode, code.privilegeLevel <= state.privilegeLevel else {
      raise(.generalProtection, error)
      return false
    }
    guard code.isPresent else {
      raise(.segmentNotPresent, error)
      return false
    }
    let width: UInt8 = type & 8 != 0 ? 4 : 2
    let isInterruptGate = type & 7 == 6
    let image = flags | (setsResume ? Flags.resume.rawValue : 0)
    let old = (
      cs: UInt64(state.segments[1].selector), ip: rip, ss: UInt64(state.segments[2].selector),
      sp: self[.rsp]
    )
    let isVirtual = state.mode.isVirtual8086
    if !code.isConforming, code.privilegeLevel < state.privilegeLevel {
      if isVirtual, code.privilegeLevel != 0 {
        raise(.generalProtection, error)
        return false
      }
      let data: [UInt64] =
        isVirtual
        ? [5, 4, 3, 0].map { UInt64(state.segments[$0].selector) } : []
      guard switchStack(to: code.privilegeLevel, leavingVirtual8086: isVirtual) else {
        return false
      }
      for value in data { guard push(value, width: width) else { return false } }
      guard push(old.ss, width: width), push(old.sp, width: width) else { return false }
      if isVirtual {
        for register in [SegmentRegister.es, .ds, .fs, .gs] {
          state.segments[Int(register.rawValue)] = .null
        }
      }
    } else {
      guard !isVirtual else {
        raise(.generalProtection, error)
        return false
      }
      setPrivilegeLevel(code.isConforming ? state.privilegeLevel : code.privilegeLevel)
    }
    guard push(image, width: width), push(old.cs, width: width), push(old.ip, width: width) else {
      return false
    }
    if let errorCode { guard push(UInt64(errorCode), width: width) else { return false } }
    guard install(.cs, selector & 0xFFFC | UInt16(state.privilegeLevel), code) else {
      return false
    }
    rip = width == 2 ? gate.gateOffset & 0xFFFF : gate.gateOffset & 0xFFFF_FFFF
    clearFlagsForHandler(isInterruptGate: isInterruptGate)
    modeChanged()
    guard rip <= UInt64(state.segments[1].limit) else {
      raise(.generalProtection, 0)
      return false
    }
    return true
  }

  /// Loads SS:ESP of an inner privilege level from the TSS and makes it current. Faults are #TS.
  func switchStack(to level: UInt8, leavingVirtual8086: Bool = false) -> Bool {
    guard let (selector, pointer) = stackFromTSS(level) else { return false }
    guard let stack = checkedStack(selector, level, .invalidTSS) else { return false }
    if leavingVirtual8086 {
      state.otherFlags &= ~Flags.virtual8086.rawValue
    }
    setPrivilegeLevel(level)
    modeChanged()
    guard install(.ss, selector, stack) else { return false }
    self[.rsp] = pointer
    return true
  }

  /// SSn:ESPn of a 16- or 32-bit TSS.
  func stackFromTSS(_ level: UInt8) -> (UInt16, UInt64)? {
    let is32 = state.taskRegister.attributes & 8 != 0
    let offset = is32 ? 4 + UInt64(level) * 8 : 2 + UInt64(level) * 4
    let size: UInt64 = is32 ? 4 : 2
    guard offset + size + 1 <= UInt64(state.taskRegister.limit) else {
      raise(.invalidTSS, UInt32(state.taskRegister.selector & 0xFFFC))
      return nil
    }
    let base = state.taskRegister.base
    guard let pointer = readSystem(base &+ offset, size),
      let selector = readSystem(base &+ offset &+ size, 2)
    else { return nil }
    return (UInt16(truncatingIfNeeded: selector), pointer)
  }

  // MARK: Shadows and debug events

  /// Holds interrupts back for one instruction (STI; MOV SS and POP SS, which hold #DB back too).
  func castInterruptShadow(blocksDebug: Bool) {
    state.interruptShadow = true
    state.shadowBlocksDebug = blocksDebug
    raiseAttention(Attention.singleStep)
  }

  /// Notes data breakpoints that an access hits; the trap comes after the instruction.
  func noteWatchpoints(_ linear: UInt64, _ size: UInt64, _ kind: AccessKind) {
    let dr7 = state.dr7
    for index in UInt64(0)..<4 {
      let condition = dr7 >> (16 + 4 * index) & 3
      guard condition == 1 && kind == .write || condition == 3 else { continue }
      let encoded = dr7 >> (18 + 4 * index) & 3
      let length: UInt64 = encoded == 2 ? 8 : encoded + 1
      let start = state.debugAddresses[Int(index)] & ~(length - 1)
      guard linear < start &+ length, start < linear &+ size else { continue }
      state.dr6 |= 1 << index
      if dr7 >> (2 * index) & 3 != 0 {
        state.pendingDebugTrap |= 1 << index
        raiseAttention(Attention.singleStep)
      }
    }
  }
}
