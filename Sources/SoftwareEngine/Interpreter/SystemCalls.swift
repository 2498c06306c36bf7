import X86

/// SYSCALL, SYSRET, SYSENTER, SYSEXIT and INT n (SDM 2A, 2B).
extension CPU {
  private func flatSegment(_ selector: UInt16, _ attributes: UInt32) -> Segment {
    Segment(selector: selector, base: 0, limit: 0xFFFF_FFFF, attributes: attributes)
  }

  /// Attributes of the fixed segments that these instructions load.
  static func codeAttributes(level: UInt32, is64Bit: Bool) -> UInt32 {
    0x809B | level << 5 | (is64Bit ? 1 << 13 : 1 << 14)
  }
  static func dataAttributes(level: UInt32) -> UInt32 { 0xC093 | level << 5 }

  func systemCall(back: UInt64) -> Status {
    guard state.efer & ExtendedFeatureEnable.systemCallExtensions.rawValue != 0 else {
      return raise(.invalidOpcode)
    }
    let selector = UInt16(truncatingIfNeeded: state.star >> 32) & 0xFFFC
    if state.mode.isLong {
      self[.rcx] = back
      self[.r11] = flags & ~Flags.resume.rawValue
      let target = state.mode.is64Bit ? state.lstar : state.cstar
      setPrivilegeLevel(0)
      state.segments[1] = flatSegment(selector, CPU.codeAttributes(level: 0, is64Bit: true))
      state.segments[2] = flatSegment(selector &+ 8, CPU.dataAttributes(level: 0))
      modeChanged()
      rip = target
      flags = self[.r11] & ~state.syscallMask & ~Flags.resume.rawValue
      return .jump
    }
    guard state.mode.isProtected else { return raise(.invalidOpcode) }
    self[.rcx] = back & 0xFFFF_FFFF
    setPrivilegeLevel(0)
    let cleared =
      Flags.interruptEnable.rawValue | Flags.virtual8086.rawValue | Flags.resume.rawValue
    flags = flags & ~cleared
    state.segments[1] = flatSegment(selector, CPU.codeAttributes(level: 0, is64Bit: false))
    state.segments[2] = flatSegment(selector &+ 8, CPU.dataAttributes(level: 0))
    modeChanged()
    rip = state.star & 0xFFFF_FFFF
    return .jump
  }

  func systemReturn(to64Bit: Bool) -> Status {
    guard state.efer & ExtendedFeatureEnable.systemCallExtensions.rawValue != 0 else {
      return raise(.invalidOpcode)
    }
    guard state.mode.isProtected, state.privilegeLevel == 0 else {
      return raise(.generalProtection, 0)
    }
    let base = UInt16(truncatingIfNeeded: state.star >> 48) | 3
    let target = self[.rcx]
    if state.mode.isLong {
      if to64Bit, !isCanonical(target) { return raise(.generalProtection, 0) }
      let image =
        self[.r11] & CPU.definedFlags
        & ~(Flags.resume.rawValue | Flags.virtual8086.rawValue)
      setPrivilegeLevel(3)
      state.segments[1] = flatSegment(
        to64Bit ? base &+ 16 : base, CPU.codeAttributes(level: 3, is64Bit: to64Bit))
      state.segments[2] = flatSegment(base &+ 8, CPU.dataAttributes(level: 3))
      modeChanged()
      flags = image
      rip = to64Bit ? target : target & 0xFFFF_FFFF
      return .jump
    }
    setPrivilegeLevel(3)
    state.segments[1] = flatSegment(base, CPU.codeAttributes(level: 3, is64Bit: false))
    state.segments[2] = flatSegment(base &+ 8, CPU.dataAttributes(level: 3))
    modeChanged()
    flags = flags | Flags.interruptEnable.rawValue
    rip = target & 0xFFFF_FFFF
    return .jump
  }

  func systemEnter() -> Status {
    guard state.mode.isProtected, state.sysenterCS & 0xFFFC != 0 else {
      return raise(.generalProtection, 0)
    }
    let selector = UInt16(truncatingIfNeeded: state.sysenterCS) & 0xFFFC
    let isLong = state.mode.isLong
    setPrivilegeLevel(0)
    flags =
      flags
      & ~(Flags.interruptEnable.rawValue | Flags.virtual8086.rawValue | Flags.resume.rawValue)
    state.segments[1] = flatSegment(selector, CPU.codeAttributes(level: 0, is64Bit: isLong))
    state.segments[2] = flatSegment(selector &+ 8, CPU.dataAttributes(level: 0))
    modeChanged()
    self[.rsp] = isLong ? state.sysenterESP : state.sysenterESP & 0xFFFF_FFFF
    rip = isLong ? state.sysenterEIP : state.sysenterEIP & 0xFFFF_FFFF
    return .jump
  }

  func systemExit(to64Bit: Bool) -> Status {
    guard state.mode.isProtected, state.privilegeLevel == 0, state.sysenterCS & 0xFFFC != 0 else {
      return raise(.generalProtection, 0)
    }
    let base = UInt16(truncatingIfNeeded: state.sysenterCS) & 0xFFFC
    let target = self[.rdx]
    let stack = self[.rcx]
    if to64Bit, !isCanonical(target) || !isCanonical(stack) { return raise(.generalProtection, 0) }
    setPrivilegeLevel(3)
    state.segments[1] = flatSegment(
      (base &+ (to64Bit ? 32 : 16)) | 3, CPU.codeAttributes(level: 3, is64Bit: to64Bit))
    state.segments[2] = flatSegment(
      (base &+ (to64Bit ? 40 : 24)) | 3, CPU.dataAttributes(level: 3))
    modeChanged()
    self[.rsp] = to64Bit ? stack : stack & 0xFFFF_FFFF
    rip = to64Bit ? target : target & 0xFFFF_FFFF
    return .jump
  }

  // MARK: INT n

  /// INT n, INT3, INTO and INT1. `back`: the offset of the next instruction, which the handler
  /// returns to. Only INT n is sensitive to IOPL in virtual-8086 mode.
  func softwareInterrupt(
    _ vector: UInt8, back: UInt64, source: EventSource, isImmediate: Bool
  ) -> Status {
    if state.mode.isVirtual8086, isImmediate {
      if let status = virtual8086Interrupt(vector, back: back) { return status }
    }
    rip = back
    return attempt(vector, errorCode: nil, source: source, setsResume: false) ? .jump : .stop
  }

  /// INT n in virtual-8086 mode: needs IOPL 3, or goes through the VME redirection bitmap. `nil`: the
  /// ordinary way.
  private func virtual8086Interrupt(_ vector: UInt8, back: UInt64) -> Status? {
    let hasIOPrivilege = state.otherFlags & Flags.ioPrivilegeLevel.rawValue == 3 << 12
    if state.cr4 & CR4.virtual8086Extensions.rawValue != 0 {
      let base = state.taskRegister.base
      guard let map = readSystem(base &+ 0x66, 2) else { return .stop }
      // The redirection bitmap lies in the 32 bytes below the I/O bitmap.
      if map >= 32, map - 32 + UInt64(vector >> 3) <= UInt64(state.taskRegister.limit) {
        guard let byte = readSystem(base &+ map - 32 &+ UInt64(vector >> 3), 1) else {
          return .stop
        }
        if byte >> UInt64(vector & 7) & 1 == 0 { return redirect(vector, back, hasIOPrivilege) }
      }
    }
    return hasIOPrivilege ? nil : raise(.generalProtection, 0)
  }

  /// Goes to the 8086 program's own handler.
  private func redirect(_ vector: UInt8, _ back: UInt64, _ hasIOPrivilege: Bool) -> Status {
    guard let target = readLinear(UInt64(vector) * 4, 4, .user) else { return .stop }
    var image = flags
    if !hasIOPrivilege {
      image |= 3 << 12
      image &= ~Flags.interruptEnable.rawValue
      if flags & Flags.virtualInterrupt.rawValue != 0 { image |= Flags.interruptEnable.rawValue }
    }
    let old = self[.rsp]
    guard push(image, width: 2), push(UInt64(state.segments[1].selector), width: 2),
      push(back, width: 2)
    else {
      self[.rsp] = old
      return .stop
    }
    let interrupt =
      hasIOPrivilege ? Flags.interruptEnable.rawValue : Flags.virtualInterrupt.rawValue
    flags = flags & ~(interrupt | Flags.trap.rawValue)
    loadParagraph(.cs, UInt16(truncatingIfNeeded: target >> 16))
    rip = target & 0xFFFF
    return .jump
  }
}
