import X86

/// Far JMP, CALL and RET, and IRET (SDM 2A, 2B; 3A 5.8).
extension CPU {
  // MARK: JMP

  func jumpFar(_ selector: UInt16, _ offset: UInt64, width: UInt8) -> Status {
    if state.mode.isParagraphMode {
      let target = offset & CPU.mask(width)
      guard target <= UInt64(state.segments[1].limit) else { return raise(.generalProtection, 0) }
      loadParagraph(.cs, selector)
      rip = target
      return .jump
    }
    guard selector & 0xFFFC != 0 else { return raise(.generalProtection, 0) }
    guard let target = descriptor(selector) else { return .stop }
    if target.isCodeOrData {
      let level = UInt8(selector & 3)
      let error = UInt32(selector & 0xFFFC)
      guard target.isCode else { return raise(.generalProtection, error) }
      let isAllowed =
        target.isConforming
        ? target.privilegeLevel <= state.privilegeLevel
        : level <= state.privilegeLevel && target.privilegeLevel == state.privilegeLevel
      guard isAllowed, !isLongAndBig(target) else { return raise(.generalProtection, error) }
      guard target.isPresent else { return raise(.segmentNotPresent, error) }
      return enterCode(selector, target, offset & CPU.mask(width))
    }
    return jumpSystem(selector, target)
  }

  private func isLongAndBig(_ code: Descriptor) -> Bool {
    state.mode.isLong && code.isLong && code.isBig
  }

  /// Loads CS with the current privilege and goes to an offset in it.
  private func enterCode(_ selector: UInt16, _ code: Descriptor, _ offset: UInt64) -> Status {
    let isLong = state.mode.isLong && code.isLong
    if isLong {
      guard isCanonical(offset) else { return raise(.generalProtection, 0) }
    } else {
      guard offset & 0xFFFF_FFFF <= UInt64(code.limit) else { return raise(.generalProtection, 0) }
    }
    let loaded = selector & 0xFFFC | UInt16(state.privilegeLevel)
    guard install(.cs, loaded, code) else { return .stop }
    rip = isLong ? offset : offset & 0xFFFF_FFFF
    return .jump
  }

  private func jumpSystem(_ selector: UInt16, _ target: Descriptor) -> Status {
    let error = UInt32(selector & 0xFFFC)
    let isReachable =
      target.privilegeLevel >= state.privilegeLevel && target.privilegeLevel >= UInt8(selector & 3)
    switch target.type {
    case SystemType.callGate, SystemType.callGate16:
      guard let gate = callGate(selector, target) else { return .stop }
      let (codeSelector, offset) = gate
      guard codeSelector & 0xFFFC != 0 else { return raise(.generalProtection, 0) }
      guard let code = descriptor(codeSelector) else { return .stop }
      let codeError = UInt32(codeSelector & 0xFFFC)
      let isAllowed =
        code.isConforming
        ? code.privilegeLevel <= state.privilegeLevel : code.privilegeLevel == state.privilegeLevel
      guard code.isCode, isAllowed, !state.mode.isLong || code.isLong && !code.isBig else {
        return raise(.generalProtection, codeError)
      }
      guard code.isPresent else { return raise(.segmentNotPresent, codeError) }
      return enterCode(codeSelector, code, offset)
    case SystemType.tss, SystemType.tss16:
      guard !state.mode.isLong, isReachable else { return raise(.generalProtection, error) }
      guard target.isPresent else { return raise(.segmentNotPresent, error) }
      return switchTask(selector, .jump) ? .jump : .stop
    case SystemType.taskGate:
      guard !state.mode.isLong, isReachable else { return raise(.generalProtection, error) }
      guard target.isPresent else { return raise(.segmentNotPresent, error) }
      return switchTask(target.gateSelector, .jump) ? .jump : .stop
    default:
      return raise(.generalProtection, error)
    }
  }

  /// Checks a call gate and yields its target. IA-32e gates have 16 bytes.
  private func callGate(_ selector: UInt16, _ target: Descriptor) -> (UInt16, UInt64)? {
    var gate = target
    let error = UInt32(selector & 0xFFFC)
    if state.mode.isLong {
      guard target.type == SystemType.callGate, let wide = systemDescriptor(selector) else {
        if state.stop != .fault { raise(.generalProtection, error) }
        return nil
      }
      gate = wide
    }
    guard gate.privilegeLevel >= state.privilegeLevel, gate.privilegeLevel >= UInt8(selector & 3)
    else {
      raise(.generalProtection, error)
      return nil
    }
    guard gate.isPresent else {
      raise(.segmentNotPresent, error)
      return nil
    }
    let offset = gate.type == SystemType.callGate16 ? gate.gateOffset & 0xFFFF : gate.gateOffset
    return (gate.gateSelector, offset)
  }

  // MARK: CALL

  /// - Parameter back: the offset of the next instruction.
  func callFar(_ selector: UInt16, _ offset: UInt64, width: UInt8, back: UInt64) -> Status {
    let oldStack = self[.rsp]
    let status = callFarUnprotected(selector, offset, width: width, back: back)
    if status == .stop { self[.rsp] = oldStack }
    return status
  }

  private func callFarUnprotected(
    _ selector: UInt16, _ offset: UInt64, width: UInt8, back: UInt64
  ) -> Status {
    let oldCode = UInt64(state.segments[1].selector)
    if state.mode.isParagraphMode {
      let target = offset & CPU.mask(width)
      guard target <= UInt64(state.segments[1].limit) else { return raise(.generalProtection, 0) }
      guard push(oldCode, width: width), push(back, width: width) else { return .stop }
      loadParagraph(.cs, selector)
      rip = target
      return .jump
    }
    guard selector & 0xFFFC != 0 else { return raise(.generalProtection, 0) }
    guard let target = descriptor(selector) else { return .stop }
    let error = UInt32(selector & 0xFFFC)
    if target.isCodeOrData {
      guard target.isCode else { return raise(.generalProtection, error) }
      let isAllowed =
        target.isConforming
        ? target.privilegeLevel <= state.privilegeLevel
        : UInt8(selector & 3) <= state.privilegeLevel
          && target.privilegeLevel == state.privilegeLevel
      guard isAllowed, !isLongAndBig(target) else { return raise(.generalProtection, error) }
      guard target.isPresent else { return raise(.segmentNotPresent, error) }
      let masked = offset & CPU.mask(width)
      guard
        state.mode.isLong && target.isLong ? isCanonical(masked) : masked <= UInt64(target.limit)
      else { return raise(.generalProtection, 0) }
      guard push(oldCode, width: width), push(back, width: width) else { return .stop }
      return enterCode(selector, target, masked)
    }
    switch target.type {
    case SystemType.callGate, SystemType.callGate16:
      return callThroughGate(selector, target, back: back)
    case SystemType.tss, SystemType.tss16, SystemType.taskGate:
      let isReachable =
        target.privilegeLevel >= state.privilegeLevel
        && target.privilegeLevel >= UInt8(selector & 3)
      guard !state.mode.isLong, isReachable else { return raise(.generalProtection, error) }
      guard target.isPresent else { return raise(.segmentNotPresent, error) }
      let task = target.type == SystemType.taskGate ? target.gateSelector : selector
      rip = back
      return switchTask(task, .call) ? .jump : .stop
    default:
      return raise(.generalProtection, error)
    }
  }

  private func callThroughGate(
    _ selector: UInt16, _ target: Descriptor, back: UInt64
  ) -> Status {
    guard let (codeSelector, offset) = callGate(selector, target) else { return .stop }
    guard codeSelector & 0xFFFC != 0 else { return raise(.generalProtection, 0) }
    guard let code = descriptor(codeSelector) else { return .stop }
    let codeError = UInt32(codeSelector & 0xFFFC)
    guard code.isCode, code.privilegeLevel <= state.privilegeLevel,
      !state.mode.isLong || code.isLong && !code.isBig
    else { return raise(.generalProtection, codeError) }
    guard code.isPresent else { return raise(.segmentNotPresent, codeError) }
    let width: UInt8 =
      state.mode.isLong ? 8 : (target.type == SystemType.callGate16 ? 2 : 4)
    let oldCode = UInt64(state.segments[1].selector)
    guard !code.isConforming, code.privilegeLevel < state.privilegeLevel else {
      guard push(oldCode, width: width), push(back, width: width) else { return .stop }
      return enterCode(codeSelector, code, offset)
    }
    let oldLevel = state.privilegeLevel
    let oldSegments = state.segments
    let oldStack = (UInt64(state.segments[2].selector), self[.rsp])
    var parameters = [UInt64]()
    func fail() -> Status {
      state.segments = oldSegments
      setPrivilegeLevel(oldLevel)
      modeChanged()
      return .stop
    }
    if state.mode.isLong {
      let offsetInTSS = 4 + UInt64(code.privilegeLevel) * 8
      guard offsetInTSS + 7 <= UInt64(state.taskRegister.limit) else {
        return raise(.invalidTSS, UInt32(state.taskRegister.selector & 0xFFFC))
      }
      guard let stack = readSystem64(state.taskRegister.base &+ offsetInTSS) else { return .stop }
      guard isCanonical(stack) else { return raise(.stackFault, 0) }
      setPrivilegeLevel(code.privilegeLevel)
      setSegment(.ss, nullStack(UInt16(code.privilegeLevel)))
      guard install(.cs, codeSelector & 0xFFFC | UInt16(code.privilegeLevel), code) else {
        return fail()
      }
      self[.rsp] = stack
    } else {
      for index in 0..<target.gateParameterCount {
        guard let value = peek(index * UInt64(width), width: width) else { return .stop }
        parameters.append(value)
      }
      guard switchStack(to: code.privilegeLevel) else { return fail() }
    }
    guard push(oldStack.0, width: width), push(oldStack.1, width: width) else { return fail() }
    for value in parameters.reversed() {
      guard push(value, width: width) else { return fail() }
    }
    guard push(oldCode, width: width), push(back, width: width) else { return fail() }
    let status = enterCode(codeSelector, code, offset)
    return status == .stop ? fail() : status
  }

  // MARK: RET

  func returnFar(width: UInt8, releasing extra: UInt64) -> Status {
    guard let offset = peek(0, width: width), let second = peek(UInt64(width), width: width)
    else { return .stop }
    let selector = UInt16(truncatingIfNeeded: second)
    if state.mode.isParagraphMode {
      guard offset <= UInt64(state.segments[1].limit) else { return raise(.generalProtection, 0) }
      setStackPointer(self[.rsp] &+ 2 * UInt64(width) &+ extra)
      loadParagraph(.cs, selector)
      rip = offset
      return .jump
    }
    guard let code = returnTarget(selector, offset) else { return .stop }
    let level = UInt8(selector & 3)
    if level == state.privilegeLevel {
      let newStack = self[.rsp] &+ 2 * UInt64(width) &+ extra
      guard install(.cs, selector, code) else { return .stop }
      setStackPointer(newStack)
      rip = offset
      return .jump
    }
    let stackAt = 2 * UInt64(width) + extra
    guard let pointer = peek(stackAt, width: width),
      let stackSelector = peek(stackAt + UInt64(width), width: width)
    else { return .stop }
    return returnOutward(
      selector, code, offset, UInt16(truncatingIfNeeded: stackSelector), pointer &+ extra,
      width: width)
  }

  /// Checks the CS of a far return or IRET.
  private func returnTarget(_ selector: UInt16, _ offset: UInt64) -> Descriptor? {
    let error = UInt32(selector & 0xFFFC)
    guard selector & 0xFFFC != 0 else {
      raise(.generalProtection, 0)
      return nil
    }
    guard let code = descriptor(selector) else { return nil }
    let level = UInt8(selector & 3)
    let isAllowed =
      code.isConforming ? code.privilegeLevel <= level : code.privilegeLevel == level
    guard code.isCode, level >= state.privilegeLevel, isAllowed, !isLongAndBig(code) else {
      raise(.generalProtection, error)
      return nil
    }
    guard code.isPresent else {
      raise(.segmentNotPresent, error)
      return nil
    }
    let isLong = state.mode.isLong && code.isLong
    guard isLong ? isCanonical(offset) : offset & 0xFFFF_FFFF <= UInt64(code.limit) else {
      raise(.generalProtection, 0)
      return nil
    }
    return code
  }

  /// Goes to an outer privilege level (or, in 64-bit mode, anywhere by IRET) with a new stack.
  private func returnOutward(
    _ selector: UInt16, _ code: Descriptor, _ offset: UInt64, _ stackSelector: UInt16,
    _ pointer: UInt64, width: UInt8
  ) -> Status {
    let level = UInt8(selector & 3)
    let toLong = state.mode.isLong && code.isLong
    var stack: Segment
    if stackSelector & 0xFFFC == 0 {
      guard toLong, level != 3, UInt8(stackSelector & 3) == level else {
        return raise(.generalProtection, 0)
      }
      stack = nullStack(stackSelector)
    } else {
      guard let descriptor = checkedStack(stackSelector, level, .generalProtection) else {
        return .stop
      }
      if descriptor.low & CPU.accessedBit == 0 {
        guard setDescriptorBits(stackSelector, CPU.accessedBit) else { return .stop }
      }
      stack = descriptor.segment(stackSelector)
      stack.attributes |= 1
    }
    guard install(.cs, selector, code) else { return .stop }
    let outward = level != state.privilegeLevel
    setPrivilegeLevel(level)
    setSegment(.ss, stack)
    rip = toLong ? offset : offset & 0xFFFF_FFFF
    if state.mode.is64Bit {
      self[.rsp] = pointer
    } else {
      // Only the part that the new stack uses is loaded from a 16-bit frame.
      let masked = pointer & CPU.mask(width)
      if stack.attributes & 1 << 14 != 0 {
        setRegister(.rsp, width: 4, masked)
      } else {
        setRegister(.rsp, width: 2, masked)
      }
    }
    if outward { clearInnerSegments(level) }
    return .jump
  }

  /// Data segments that the outer level may not use become null.
  private func clearInnerSegments(_ level: UInt8) {
    for register in [SegmentRegister.es, .ds, .fs, .gs] {
      let segment = state.segments[Int(register.rawValue)]
      let type = segment.attributes & 15
      let isConforming = type & 0xC == 0xC
      let segmentLevel = UInt8(truncatingIfNeeded: segment.attributes >> 5) & 3
      guard segment.attributes & 1 << 16 == 0, !isConforming, segmentLevel < level else { continue }
      // The base survives in 64-bit mode, as on hardware that keeps FS and GS bases apart.
      var null = Segment.null
      null.base = segment.base
      setSegment(register, null)
    }
  }

  // MARK: IRET

  func interruptReturn(width: UInt8) -> Status {
    state.nonMaskableMasked = false
    if state.mode.isVirtual8086 { return interruptReturnVirtual8086(width) }
    if !state.mode.isProtected { return interruptReturnReal(width) }
    if state.otherFlags & Flags.nestedTask.rawValue != 0 {
      guard !state.mode.isLong else { return raise(.generalProtection, 0) }
      return returnFromTask()
    }
    let step = UInt64(width)
    guard let offset = peek(0, width: width), let second = peek(step, width: width),
      let image = peek(2 * step, width: width)
    else { return .stop }
    if !state.mode.isLong, width == 4, image & Flags.virtual8086.rawValue != 0,
      state.privilegeLevel == 0
    {
      return returnToVirtual8086(offset, UInt16(truncatingIfNeeded: second), image)
    }
    let selector = UInt16(truncatingIfNeeded: second)
    guard let code = returnTarget(selector, offset) else { return .stop }
    let level = UInt8(selector & 3)
    let newFlags = mergedFlags(image, width: width)
    if level != state.privilegeLevel || state.mode.is64Bit {
      guard let pointer = peek(3 * step, width: width),
        let stackSelector = peek(4 * step, width: width)
      else { return .stop }
      let status = returnOutward(
        selector, code, offset, UInt16(truncatingIfNeeded: stackSelector), pointer, width: width)
      if status == .jump { flags = newFlags }
      return status
    }
    let newStack = self[.rsp] &+ 3 * step
    guard install(.cs, selector, code) else { return .stop }
    setStackPointer(newStack)
    rip = offset & 0xFFFF_FFFF
    flags = newFlags
    return .jump
  }

  /// RFLAGS after IRET at the current privilege.
  private func mergedFlags(_ image: UInt64, width: UInt8) -> UInt64 {
    var changeable =
      Flags.arithmetic.rawValue | Flags.trap.rawValue | Flags.direction.rawValue
      | Flags.nestedTask.rawValue
    if width != 2 {
      changeable |=
        Flags.resume.rawValue | Flags.alignmentCheck.rawValue | Flags.identification.rawValue
    }
    let ioPrivilege = UInt8(truncatingIfNeeded: (state.otherFlags >> 12) & 3)
    if state.privilegeLevel <= ioPrivilege { changeable |= Flags.interruptEnable.rawValue }
    if state.privilegeLevel == 0 {
      changeable |= Flags.ioPrivilegeLevel.rawValue
      if width != 2 {
        changeable |= Flags.virtualInterrupt.rawValue | Flags.virtualInterruptPending.rawValue
      }
    }
    return (flags & ~changeable) | (image & changeable)
  }

  private func interruptReturnReal(_ width: UInt8) -> Status {
    let step = UInt64(width)
    guard let offset = peek(0, width: width), let selector = peek(step, width: width),
      let image = peek(2 * step, width: width)
    else { return .stop }
    guard offset <= UInt64(state.segments[1].limit) else { return raise(.generalProtection, 0) }
    setStackPointer(self[.rsp] &+ 3 * step)
    loadParagraph(.cs, UInt16(truncatingIfNeeded: selector))
    rip = offset
    let kept =
      Flags.virtual8086.rawValue | Flags.virtualInterrupt.rawValue
      | Flags.virtualInterruptPending.rawValue
    let changeable = width == 2 ? 0xFFFF : ~kept
    flags = (flags & ~changeable) | (image & changeable)
    return .jump
  }

  private func interruptReturnVirtual8086(_ width: UInt8) -> Status {
    let step = UInt64(width)
    let hasIOPrivilege = state.otherFlags & Flags.ioPrivilegeLevel.rawValue == 3 << 12
    let usesVME =
      !hasIOPrivilege && width == 2
      && state.cr4 & CR4.virtual8086Extensions.rawValue != 0
    guard hasIOPrivilege || usesVME else { return raise(.generalProtection, 0) }
    guard let offset = peek(0, width: width), let selector = peek(step, width: width),
      let image = peek(2 * step, width: width)
    else { return .stop }
    guard offset <= UInt64(state.segments[1].limit) else { return raise(.generalProtection, 0) }
    let wantsInterrupts = image & Flags.interruptEnable.rawValue != 0
    if usesVME {
      let isPending = flags & Flags.virtualInterruptPending.rawValue != 0
      guard image & Flags.trap.rawValue == 0, !(wantsInterrupts && isPending) else {
        return raise(.generalProtection, 0)
      }
    }
    setStackPointer(self[.rsp] &+ 3 * step)
    loadParagraph(.cs, UInt16(truncatingIfNeeded: selector))
    rip = offset
    var kept =
      Flags.virtual8086.rawValue | Flags.virtualInterrupt.rawValue
      | Flags.virtualInterruptPending.rawValue | Flags.ioPrivilegeLevel.rawValue
    if usesVME { kept |= Flags.interruptEnable.rawValue }
    let changeable = (width == 2 ? 0xFFFF : 0xFFFF_FFFF) & ~kept
    var new = (flags & ~changeable) | (image & changeable)
    if usesVME {
      new =
        wantsInterrupts
        ? new | Flags.virtualInterrupt.rawValue : new & ~Flags.virtualInterrupt.rawValue
    }
    flags = new
    return .jump
  }

  private func returnToVirtual8086(
    _ offset: UInt64, _ selector: UInt16, _ image: UInt64
  ) -> Status {
    var frame: InlineArray<6, UInt64> = .init(repeating: 0)
    for index in 0..<6 {
      guard let value = peek(UInt64(3 + index) * 4, width: 4) else { return .stop }
      frame[index] = value
    }
    flags = image & CPU.definedFlags
    setPrivilegeLevel(3)
    modeChanged()
    loadParagraph(.cs, selector)
    let order: [SegmentRegister] = [.ss, .es, .ds, .fs, .gs]
    for (index, register) in order.enumerated() {
      loadParagraph(register, UInt16(truncatingIfNeeded: frame[index + 1]))
    }
    setRegister(.rsp, width: 4, frame[0])
    rip = offset & 0xFFFF
    return .jump
  }
}
