import X86

/// Moves with extension, LEA, CMOV, SETcc, the stack, and flags as data.
extension CPU {
  @inline(__always)
  func moveZeroExtended<T: GuestInteger>(_: T.Type, _ op: Micro) -> Status {
    guard let value: T = readOperand(op) else { return .stop }
    setWide(op, UInt64(truncatingIfNeeded: value))
    return .next
  }

  @inline(__always)
  func moveSignExtended<T: GuestInteger>(_: T.Type, _ op: Micro) -> Status {
    guard let value: T = readOperand(op) else { return .stop }
    setWide(op, CPU.signExtend(value))
    return .next
  }

  /// Writes the first register with the operand width.
  @inline(__always)
  func setWide(_ op: Micro, _ value: UInt64) {
    switch op.width {
    case 2: setRegister(at: op.first, UInt16(truncatingIfNeeded: value))
    case 4: setRegister(at: op.first, UInt32(truncatingIfNeeded: value))
    default: setRegister(at: op.first, value)
    }
  }

  @inline(__always)
  func loadEffectiveAddress(_ op: Micro) -> Status {
    setWide(op, effectiveAddress(op))
    return .next
  }

  /// The memory operand is read whether or not the condition holds.
  @inline(__always)
  func conditionalMove(_ op: Micro) -> Status {
    switch op.width {
    case 2:
      guard let value: UInt16 = readOperand(op) else { return .stop }
      if condition(op.detail) { setRegister(at: op.first, value) }
    case 4:
      guard let value: UInt32 = readOperand(op) else { return .stop }
      // The upper half is cleared even if nothing is moved.
      setRegister(at: op.first, condition(op.detail) ? value : register(at: op.first))
    default:
      guard let value: UInt64 = readOperand(op) else { return .stop }
      if condition(op.detail) { setRegister(at: op.first, value) }
    }
    return .next
  }

  @inline(__always)
  func setCondition(_ op: Micro) -> Status {
    let value: UInt8 = condition(op.detail) ? 1 : 0
    if op.flags.contains(.memory) { return writeMemory(op, value) ? .next : .stop }
    setRegister(at: op.first, value)
    return .next
  }

  // MARK: The stack

  @inline(__always) var stackMask: UInt64 { CPU.mask(state.mode.stackWidth) }

  @inline(__always)
  func setStackPointer(_ value: UInt64) {
    switch state.mode.stackWidth {
    case 8: self[.rsp] = value
    case 4: setRegister(at: 4 * 8, UInt32(truncatingIfNeeded: value))
    default: setRegister(at: 4 * 8, UInt16(truncatingIfNeeded: value))
    }
  }

  /// Writes below the stack pointer, which moves only if that succeeds.
  @inline(__always)
  func push(_ value: UInt64, width: UInt8) -> Bool {
    let pointer = (self[.rsp] &- UInt64(width)) & stackMask
    let written: Bool
    switch width {
    case 8: written = write(2, pointer, value)
    case 4: written = write(2, pointer, UInt32(truncatingIfNeeded: value))
    default: written = write(2, pointer, UInt16(truncatingIfNeeded: value))
    }
    guard written else { return false }
    setStackPointer(pointer)
    return true
  }

  /// Reads at `depth` bytes above the stack pointer, which does not move.
  @inline(__always)
  func peek(_ depth: UInt64, width: UInt8) -> UInt64? {
    let pointer = (self[.rsp] &+ depth) & stackMask
    switch width {
    case 8: return read(2, pointer, UInt64.self)
    case 4:
      guard let value: UInt32 = read(2, pointer) else { return nil }
      return UInt64(value)
    default:
      guard let value: UInt16 = read(2, pointer) else { return nil }
      return UInt64(value)
    }
  }

  @inline(__always)
  func pushRegister(_ op: Micro) -> Status {
    push(register(at: op.first), width: op.width) ? .next : .stop
  }

  @inline(__always)
  func popRegister(_ op: Micro) -> Status {
    guard let value = peek(0, width: op.width) else { return .stop }
    setStackPointer((self[.rsp] &+ UInt64(op.width)))
    setWide(op, value)
    return .next
  }

  @inline(never)
  func pushMemory(_ op: Micro) -> Status {
    switch op.width {
    case 2:
      guard let value: UInt16 = readMemory(op) else { return .stop }
      return push(UInt64(value), width: 2) ? .next : .stop
    case 4:
      guard let value: UInt32 = readMemory(op) else { return .stop }
      return push(UInt64(value), width: 4) ? .next : .stop
    default:
      guard let value: UInt64 = readMemory(op) else { return .stop }
      return push(value, width: 8) ? .next : .stop
    }
  }

  /// An address based on the stack pointer sees it already raised.
  @inline(never)
  func popMemory(_ op: Micro) -> Status {
    guard let value = peek(0, width: op.width) else { return .stop }
    let old = self[.rsp]
    setStackPointer(old &+ UInt64(op.width))
    let written: Bool
    switch op.width {
    case 2: written = writeMemory(op, UInt16(truncatingIfNeeded: value))
    case 4: written = writeMemory(op, UInt32(truncatingIfNeeded: value))
    default: written = writeMemory(op, value)
    }
    if !written { self[.rsp] = old }
    return written ? .next : .stop
  }

  @inline(never)
  func leaveFrame(_ op: Micro) -> Status {
    let old = self[.rsp]
    setStackPointer(self[.rbp])
    guard let value = peek(0, width: op.width) else {
      self[.rsp] = old
      return .stop
    }
    setStackPointer(self[.rsp] &+ UInt64(op.width))
    setRegister(.rbp, width: op.width, value)
    return .next
  }

  /// ENTER size, level (SDM 2A).
  @inline(never)
  func enterFrame(_ op: Micro) -> Status {
    let width = op.width
    let size = op.immediate & 0xFFFF
    let level = Int(op.immediate >> 16) & 31
    let oldStack = self[.rsp]
    func fail() -> Status {
      self[.rsp] = oldStack
      return .stop
    }
    guard push(self[.rbp], width: width) else { return .stop }
    let frame = self[.rsp]
    if level > 0 {
      var base = self[.rbp]
      for _ in 1..<max(level, 1) {
        base = base &- UInt64(width)
        let value: UInt64?
        switch width {
        case 2: value = read(2, base & stackMask, UInt16.self).map { UInt64($0) }
        case 4: value = read(2, base & stackMask, UInt32.self).map { UInt64($0) }
        default: value = read(2, base & stackMask, UInt64.self)
        }
        guard let value, push(value, width: width) else { return fail() }
      }
      guard push(frame, width: width) else { return fail() }
    }
    let bottom = (self[.rsp] &- size) & stackMask
    // The manual demands that the new top can be written.
    guard read(2, bottom, UInt8.self) != nil else { return fail() }
    setStackPointer(bottom)
    setRegister(.rbp, width: width, frame)
    return .next
  }

  @inline(never)
  func pushAll(_ op: Micro) -> Status {
    let old = self[.rsp]
    for number in UInt8(0)..<8 {
      let value: UInt64 = number == 4 ? old : register(at: number * 8)
      guard push(value, width: op.width) else {
        self[.rsp] = old
        return .stop
      }
    }
    return .next
  }

  @inline(never)
  func popAll(_ op: Micro) -> Status {
    var values: InlineArray<8, UInt64> = .init(repeating: 0)
    for position in 0..<8 {
      guard let value = peek(UInt64(position) * UInt64(op.width), width: op.width) else {
        return .stop
      }
      values[7 - position] = value
    }
    setStackPointer(self[.rsp] &+ 8 * UInt64(op.width))
    for number in UInt8(0)..<8 where number != 4 {
      setRegister(GeneralRegister(rawValue: number)!, width: op.width, values[Int(number)])
    }
    return .next
  }

  // MARK: Flags as data

  @inline(never)
  func pushFlags(_ op: Micro) -> Status {
    if state.mode.isVirtual8086, state.otherFlags & Flags.ioPrivilegeLevel.rawValue != 3 << 12 {
      guard state.cr4 & CR4.virtual8086Extensions.rawValue != 0, op.width == 2 else {
        return raise(.generalProtection, 0)
      }
      // VME: IF is shown as VIF, IOPL as 3.
      var image = flags & ~Flags.interruptEnable.rawValue | 3 << 12
      if image & Flags.virtualInterrupt.rawValue != 0 { image |= Flags.interruptEnable.rawValue }
      return push(image, width: 2) ? .next : .stop
    }
    let image = flags & ~(Flags.resume.rawValue | Flags.virtual8086.rawValue)
    return push(image, width: op.width) ? .next : .stop
  }

  @inline(never)
  func popFlags(_ op: Micro) -> Status {
    let privilege = UInt64(state.privilegeLevel)
    let ioPrivilege = (state.otherFlags >> 12) & 3
    let old = flags
    if state.mode.isVirtual8086, ioPrivilege != 3 {
      guard state.cr4 & CR4.virtual8086Extensions.rawValue != 0, op.width == 2 else {
        return raise(.generalProtection, 0)
      }
      guard let image = peek(0, width: 2) else { return .stop }
      let wantsInterrupts = image & Flags.interruptEnable.rawValue != 0
      if image & Flags.trap.rawValue != 0
        || (wantsInterrupts && old & Flags.virtualInterruptPending.rawValue != 0)
      {
        return raise(.generalProtection, 0)
      }
      setStackPointer(self[.rsp] &+ 2)
      let kept = Flags.interruptEnable.rawValue | Flags.ioPrivilegeLevel.rawValue
      var new = (old & (kept | ~0xFFFF)) | (image & 0xFFFF & ~kept)
      new = new & ~Flags.virtualInterrupt.rawValue
      if wantsInterrupts { new |= Flags.virtualInterrupt.rawValue }
      flags = new
      return .next
    }
    guard let image = peek(0, width: op.width) else { return .stop }
    setStackPointer(self[.rsp] &+ UInt64(op.width))
    var changeable =
      Flags.arithmetic.rawValue | Flags.trap.rawValue | Flags.direction.rawValue
      | Flags.nestedTask.rawValue
    if op.width != 2 {
      changeable |=
        Flags.alignmentCheck.rawValue | Flags.identification.rawValue
        | Flags.resume.rawValue
    }
    if !state.mode.isProtected || privilege == 0 && !state.mode.isVirtual8086 {
      changeable |= Flags.ioPrivilegeLevel.rawValue
    }
    if privilege <= ioPrivilege || !state.mode.isProtected {
      changeable |= Flags.interruptEnable.rawValue
    }
    // POPF clears RF; VIF and VIP are cleared where IOPL may be written in 32-bit form (they are 0 then).
    let source = image & ~Flags.resume.rawValue
    flags = (old & ~changeable) | (source & changeable)
    return .next
  }

  @inline(never)
  func flagOperation(_ operation: UInt8) -> Status {
    switch operation {
    case 0: setCarry(false)
    case 1: setCarry(true)
    case 2: setCarry(!isCarry)
    case 3: state.otherFlags &= ~Flags.direction.rawValue
    case 4: state.otherFlags |= Flags.direction.rawValue
    default: return setInterruptFlag(operation == 6)
    }
    return .next
  }

  /// CLI and STI (SDM 2A, 2B).
  private func setInterruptFlag(_ enable: Bool) -> Status {
    let interruptEnable = Flags.interruptEnable.rawValue
    let ioPrivilege = UInt8(truncatingIfNeeded: (state.otherFlags >> 12) & 3)
    if state.mode.isProtected || state.mode.isVirtual8086 {
      guard state.privilegeLevel <= ioPrivilege else {
        let isVME =
          state.mode.isVirtual8086 && state.cr4 & CR4.virtual8086Extensions.rawValue != 0
        let isPVI =
          !state.mode.isVirtual8086 && state.privilegeLevel == 3
          && state.cr4 & CR4.protectedModeVirtualInterrupts.rawValue != 0
        guard isVME || isPVI else { return raise(.generalProtection, 0) }
        if !enable {
          state.otherFlags &= ~Flags.virtualInterrupt.rawValue
          return .next
        }
        guard state.otherFlags & Flags.virtualInterruptPending.rawValue == 0 else {
          return raise(.generalProtection, 0)
        }
        state.otherFlags |= Flags.virtualInterrupt.rawValue
        return .next
      }
    }
    if !enable {
      state.otherFlags &= ~interruptEnable
    } else if state.otherFlags & interruptEnable == 0 {
      state.otherFlags |= interruptEnable
      castInterruptShadow(blocksDebug: false)
    }
    return .next
  }

  /// LAHF: flags into AH.
  @inline(__always)
  func loadFlagsIntoAH() -> Status {
    setRegister(at: 1, UInt8(truncatingIfNeeded: arithmeticFlags | 2))
    return .next
  }

  @inline(__always)
  func storeAHIntoFlags() -> Status {
    let low = UInt64(register(at: 1, UInt8.self)) & 0xD5
    arithmeticFlags = (arithmeticFlags & Flags.overflow.rawValue) | low
    return .next
  }
}
