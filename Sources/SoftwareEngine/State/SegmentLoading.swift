import X86

/// Loading of segment registers and what follows from it.
extension CPU {
  /// Installs a segment and recomputes what depends on it.
  func setSegment(_ register: SegmentRegister, _ segment: Segment) {
    state.segments[Int(register.rawValue)] = segment
    if register == .cs || register == .ss { modeChanged() } else { segmentChanged(register) }
  }

  /// Recomputes the access path of one segment.
  func segmentChanged(_ register: SegmentRegister) {
    let index = Int(register.rawValue)
    let segment = state.segments[index]
    if state.mode.is64Bit {
      let isThread = register == .fs || register == .gs
      state.linearBase[index] = isThread ? segment.base : 0
      let end: UInt64 = needsSlowAccesses ? 0 : .max
      state.readEnd[index] = end
      state.writeEnd[index] = end
      return
    }
    state.linearBase[index] = segment.base & 0xFFFF_FFFF
    let end = UInt64(segment.limit) + 1
    let type = segment.attributes & 15
    let isExpandDown = type & 0xC == 4
    let isUnusable = segment.attributes & 1 << 16 != 0
    if needsSlowAccesses || isExpandDown || (isUnusable && !state.mode.isParagraphMode) {
      state.readEnd[index] = 0
      state.writeEnd[index] = 0
    } else if state.mode.isParagraphMode {
      state.readEnd[index] = end
      state.writeEnd[index] = end
    } else {
      let isCode = type & 8 != 0
      state.readEnd[index] = !isCode || type & 2 != 0 ? end : 0
      state.writeEnd[index] = !isCode && type & 2 != 0 ? end : 0
    }
  }

  /// Whether every data access must take the slow path: alignment checks or watchpoints.
  private var needsSlowAccesses: Bool { isAlignmentChecked || hasWatchpoints }

  /// Whether DR7 enables a breakpoint on data.
  var hasWatchpoints: Bool {
    let dr7 = state.dr7
    guard dr7 & 0xFF != 0 else { return false }
    for index in UInt64(0)..<4 where dr7 >> (2 * index) & 3 != 0 {
      if dr7 >> (16 + 4 * index) & 3 != 0 { return true }
    }
    return false
  }

  /// What CS, SS and the control registers say of code.
  private var currentMode: ExecutionMode {
    let code = state.segments[1].attributes
    let stack = state.segments[2].attributes
    var mode: UInt8 = 0
    let isProtected = state.cr0 & CR0.protectionEnable.rawValue != 0
    if isProtected { mode |= ExecutionMode.protected }
    if state.otherFlags & Flags.virtual8086.rawValue != 0, isProtected {
      mode |= ExecutionMode.virtual8086
    }
    if state.efer & ExtendedFeatureEnable.longModeActive.rawValue != 0 {
      mode |= ExecutionMode.long
      // Neither D nor SS.B counts in 64-bit mode.
      if code & 1 << 13 != 0 { return ExecutionMode(rawValue: mode | ExecutionMode.code64) }
    }
    if code & 1 << 14 != 0 { mode |= ExecutionMode.code32 }
    if stack & 1 << 14 != 0 { mode |= ExecutionMode.stack32 }
    return ExecutionMode(rawValue: mode)
  }

  /// CS, SS, CPL or RFLAGS changed: recomputes what derives from them.
  func modeChanged() {
    // Between the rings of 64-bit mode only the TLB set changes: bases are 0 and limits off.
    if state.mode.is64Bit, currentMode == state.mode, state.readEnd[3] == .max, !needsSlowAccesses {
      selectTLB()
      forgetCodePage()
    } else {
      recomputeMode()
    }
  }

  /// Recomputes everything that derives from control registers, segments, CPL and RFLAGS.
  func recomputeMode() {
    state.mode = currentMode
    state.linearMask = state.mode.is64Bit ? ~0 : 0xFFFF_FFFF
    selectTLB()
    for register in SegmentRegister.allCases { segmentChanged(register) }
    forgetCodePage()
  }

  /// RFLAGS was written: recomputes what accesses, traps and interrupts take from it.
  ///
  /// - Parameter changed: the bits, but for the arithmetic flags, that are not what they were.
  func flagsChanged(_ changed: UInt64) {
    selectTLB()
    if changed & Flags.alignmentCheck.rawValue != 0,
      state.cr0 & CR0.alignmentMask.rawValue != 0
    {
      for register in SegmentRegister.allCases { segmentChanged(register) }
    }
    if state.otherFlags & (Flags.trap.rawValue | Flags.resume.rawValue) != 0 {
      raiseAttention(Attention.singleStep)
    }
    if state.hasHeldInterrupt, state.otherFlags & Flags.interruptEnable.rawValue != 0 {
      raiseAttention(Attention.interrupt)
    }
  }

  /// Chooses the TLB set of the current privilege.
  func selectTLB() {
    switch dataRight {
    case .user: unsafe state.dataTLB = state.userTLB
    case .supervisor: unsafe state.dataTLB = state.supervisorTLB
    case .supervisorOverride: unsafe state.dataTLB = state.supervisorOverrideTLB
    }
  }

  /// The next block is looked up afresh. Instructions that call this end their block.
  func forgetCodePage() { state.codeLinearPage = CodePage.forgotten }

  func setPrivilegeLevel(_ level: UInt8) {
    state.privilegeLevel = level
    selectTLB()
    forgetCodePage()
  }

  // MARK: MOV Sreg and its kin

  /// Loads DS, ES, FS, GS or SS in the current mode, with all checks (SDM 2B MOV, 3A 5.6).
  func loadSegment(_ register: SegmentRegister, _ selector: UInt16) -> Bool {
    if state.mode.isParagraphMode {
      loadParagraph(register, selector)
      return true
    }
    if register == .ss { return loadStackSegment(selector) }
    guard selector & 0xFFFC != 0 else {
      var null = Segment.null
      null.selector = selector
      // AMD keeps base and limit, Intel clears them; cleared here.
      setSegment(register, null)
      return true
    }
    guard let descriptor = descriptor(selector) else { return false }
    let error = UInt32(selector & 0xFFFC)
    guard descriptor.isCodeOrData, !descriptor.isCode || descriptor.isReadableCode else {
      raise(.generalProtection, error)
      return false
    }
    if !(descriptor.isCode && descriptor.isConforming) {
      let requested = UInt8(selector & 3)
      guard max(requested, state.privilegeLevel) <= descriptor.privilegeLevel else {
        raise(.generalProtection, error)
        return false
      }
    }
    guard descriptor.isPresent else {
      raise(.segmentNotPresent, error)
      return false
    }
    return install(register, selector, descriptor)
  }

  /// Sets a segment as real and virtual-8086 mode do. Real mode keeps limit and rights.
  func loadParagraph(_ register: SegmentRegister, _ selector: UInt16) {
    var segment = state.segments[Int(register.rawValue)]
    segment.selector = selector
    segment.base = UInt64(selector) << 4
    if state.mode.isVirtual8086 {
      segment.limit = 0xFFFF
      segment.attributes = 0xF3
    } else if segment.attributes & 1 << 16 != 0 {
      segment.attributes = 0x93
    }
    setSegment(register, segment)
  }

  private func loadStackSegment(_ selector: UInt16) -> Bool {
    if selector & 0xFFFC == 0 {
      guard state.mode.is64Bit, state.privilegeLevel < 3,
        UInt8(selector & 3) == state.privilegeLevel
      else {
        raise(.generalProtection, 0)
        return false
      }
      setSegment(.ss, nullStack(selector))
      return true
    }
    guard let descriptor = checkedStack(selector, state.privilegeLevel, .generalProtection) else {
      return false
    }
    return install(.ss, selector, descriptor)
  }

  /// The stack segment that 64-bit mode uses with a null selector.
  func nullStack(_ selector: UInt16) -> Segment {
    var null = Segment.null
    null.selector = selector
    null.attributes |= UInt32(selector & 3) << 5
    return null
  }

  /// Checks a selector for use as SS at a privilege level: `vector` for a bad one, #SS if not present.
  func checkedStack(
    _ selector: UInt16, _ level: UInt8, _ vector: ExceptionVector
  ) -> Descriptor? {
    let error = UInt32(selector & 0xFFFC)
    guard selector & 0xFFFC != 0 else {
      raise(vector, 0)
      return nil
    }
    guard let descriptor = descriptor(selector, orRaise: vector) else { return nil }
    guard UInt8(selector & 3) == level, descriptor.isWritableData,
      descriptor.privilegeLevel == level
    else {
      raise(vector, error)
      return nil
    }
    guard descriptor.isPresent else {
      raise(.stackFault, error)
      return nil
    }
    return descriptor
  }

  /// Sets the accessed bit and loads the hidden part.
  func install(_ register: SegmentRegister, _ selector: UInt16, _ descriptor: Descriptor) -> Bool {
    var descriptor = descriptor
    if descriptor.low & CPU.accessedBit == 0 {
      guard setDescriptorBits(selector, CPU.accessedBit) else { return false }
      descriptor.low |= CPU.accessedBit
    }
    setSegment(register, descriptor.segment(selector))
    return true
  }
}

/// What `CPUState.codeLinearPage` is, instead of a page, when the next one must be looked up: odd.
enum CodePage {
  /// The page that is being executed may be another by now.
  static let forgotten: UInt64 = 1
  /// Translated code changed rings. What it executes it has looked up.
  static let ofOtherRing: UInt64 = 3
}
