import CHost
import X86
import X86Decoder

/// Instructions that are rare: dispatched on the decoded form.
extension CPU {
  /// Runs a rare instruction. `rip` is the block's start on entry, and again when it fails.
  @inline(never)
  func executeCold(_ op: Micro) -> Status {
    // SAFETY: lowering stored the index of a kept instruction.
    let instruction = unsafe env.blocks.cold[Int(op.immediate)]
    let start = rip
    state.faultBelongsToNewTask = false
    if instruction.traits.contains(.privileged), state.mode.isProtected, state.privilegeLevel != 0 {
      return raise(.generalProtection, 0)
    }
    let status = executeCold(op, instruction, next: nextIP(start, op))
    if status == .stop, !state.faultBelongsToNewTask { rip = start }
    return status
  }

  /// The offset of the next instruction, as it is pushed: as wide as code is.
  private func nextIP(_ start: UInt64, _ op: Micro) -> UInt64 {
    (start &+ op.nextOffset) & CPU.mask(state.mode.isProtected ? state.mode.codeWidth : 4)
  }

  private func executeCold(_ op: Micro, _ instruction: Instruction, next: UInt64) -> Status {
    switch instruction.operation {
    case .jmpFar, .callFar: return farBranch(op, instruction, next: next)
    case .retFar:
      let extra =
        instruction.operands[0].kind == .immediate ? UInt64(instruction.immediate & 0xFFFF) : 0
      return returnFar(width: instruction.operandSize, releasing: extra)
    case .iret: return interruptReturn(width: instruction.operandSize)
    case .int3:
      return softwareInterrupt(3, back: next, source: .software, isImmediate: false)
    case .int1:
      return softwareInterrupt(1, back: next, source: .privilegedSoftware, isImmediate: false)
    case .intImmediate:
      let vector = UInt8(truncatingIfNeeded: instruction.immediate)
      return softwareInterrupt(vector, back: next, source: .software, isImmediate: true)
    case .into:
      guard isOverflow else { return go(next) }
      return softwareInterrupt(4, back: next, source: .software, isImmediate: false)
    case .bound: return checkBounds(op)
    case .syscall: return systemCall(back: next)
    case .sysret: return systemReturn(to64Bit: instruction.prefixes.contains(.rexW))
    case .sysenter: return systemEnter()
    case .sysexit: return systemExit(to64Bit: instruction.prefixes.contains(.rexW))
    case .hlt:
      state.activity = .halted
      raiseAttention(Attention.interrupt)
      return go(next)
    case .ud: return raise(.invalidOpcode)
    default: return executeColdData(op, instruction, next: next)
    }
  }

  /// Ends the block before the next instruction.
  @inline(__always)
  func go(_ next: UInt64) -> Status {
    rip = next
    return .jump
  }

  private func farBranch(_ op: Micro, _ instruction: Instruction, next: UInt64) -> Status {
    let width = instruction.operandSize
    var selector = instruction.immediate2
    var offset = UInt64(bitPattern: instruction.immediate)
    if instruction.hasMemoryOperand {
      let address = effectiveAddress(op)
      guard let low = readSized(op.segment, address, width),
        let high: UInt16 = read(op.segment, (address &+ UInt64(width)) & op.addressMask)
      else { return .stop }
      offset = low
      selector = high
    }
    return instruction.operation == .jmpFar
      ? jumpFar(selector, offset, width: width)
      : callFar(selector, offset, width: width, back: next)
  }

  /// A read of 2, 4 or 8 bytes chosen at run time.
  func readSized(_ segment: UInt8, _ offset: UInt64, _ width: UInt8) -> UInt64? {
    switch width {
    case 1: return read(segment, offset, UInt8.self).map { UInt64($0) }
    case 2: return read(segment, offset, UInt16.self).map { UInt64($0) }
    case 4: return read(segment, offset, UInt32.self).map { UInt64($0) }
    default: return read(segment, offset, UInt64.self)
    }
  }

  func writeSized(_ segment: UInt8, _ offset: UInt64, _ width: UInt8, _ value: UInt64) -> Bool {
    switch width {
    case 1: return write(segment, offset, UInt8(truncatingIfNeeded: value))
    case 2: return write(segment, offset, UInt16(truncatingIfNeeded: value))
    case 4: return write(segment, offset, UInt32(truncatingIfNeeded: value))
    default: return write(segment, offset, value)
    }
  }

  private func checkBounds(_ op: Micro) -> Status {
    let address = effectiveAddress(op)
    guard let lower = readSized(op.segment, address, op.width),
      let upper = readSized(op.segment, (address &+ UInt64(op.width)) & op.addressMask, op.width)
    else { return .stop }
    let instruction = unsafe env.blocks.cold[Int(op.immediate)]
    let index = self.register(at: instruction.reg &* 8, UInt64.self)
    func signed(_ value: UInt64) -> Int64 {
      op.width == 2
        ? Int64(Int16(truncatingIfNeeded: value)) : Int64(Int32(truncatingIfNeeded: value))
    }
    guard signed(index) >= signed(lower), signed(index) <= signed(upper) else {
      return raise(.boundRangeExceeded)
    }
    return .next
  }

  // MARK: Data and system registers

  private func executeColdData(
    _ op: Micro, _ instruction: Instruction, next: UInt64
  ) -> Status {
    switch instruction.operation {
    case .movSegment: return moveSegment(op, instruction, next: next)
    case .pushSegment:
      return pushSegment(instruction)
    case .popSegment: return popSegment(instruction, next: next)
    case .les, .lds, .lss, .lfs, .lgs: return loadFarPointer(op, instruction, next: next)
    case .movControl: return moveControl(instruction, next: next)
    case .movDebug: return moveDebug(instruction, next: next)
    case .cmpxchg8b: return compareExchange8(op)
    case .cmpxchg16b: return compareExchange16(op)
    case .lfence, .mfence, .sfence:
      chost_fence()
      return .next
    case .clflush, .clflushopt, .clwb:
      return read(op.segment, effectiveAddress(op), UInt8.self) == nil ? .stop : .next
    case .clac, .stac:
      guard state.privilegeLevel == 0 else { return raise(.invalidOpcode) }
      if instruction.operation == .stac {
        state.otherFlags |= Flags.alignmentCheck.rawValue
      } else {
        state.otherFlags &= ~Flags.alignmentCheck.rawValue
      }
      selectTLB()
      return .next
    case .wbinvd, .invd, .wbnoinvd, .monitor, .mwait, .serialize: return .next
    case .pause:
      pause()
      return .next
    case .clzero: return clearLine(op)
    default: return executeSystem(op, instruction, next: next)
    }
  }

  private func clearLine(_ op: Micro) -> Status {
    let address = self[.rax] & op.addressMask & ~63
    for offset in stride(from: UInt64(0), to: 64, by: 8) {
      guard write(op.segment, address &+ offset, UInt64(0)) else { return .stop }
    }
    return .next
  }

  private func moveSegment(_ op: Micro, _ instruction: Instruction, next: UInt64) -> Status {
    let target = instruction.operands[0]
    if target.kind == .segment {
      guard target.number < 6, target.number != 1 else { return raise(.invalidOpcode) }
      var selector = UInt16(truncatingIfNeeded: register(at: instruction.rm &* 8, UInt64.self))
      if instruction.hasMemoryOperand {
        guard let value: UInt16 = readMemory(op) else { return .stop }
        selector = value
      }
      return load(SegmentRegister(rawValue: target.number)!, selector, next: next)
    }
    guard instruction.operands[1].number < 6 else { return raise(.invalidOpcode) }
    let selector = state.segments[Int(instruction.operands[1].number)].selector
    if instruction.hasMemoryOperand { return writeMemory(op, selector) ? .next : .stop }
    let register = GeneralRegister(rawValue: instruction.rm)!
    setRegister(register, width: instruction.operandSize, UInt64(selector))
    return .next
  }

  /// Loads a segment register and leaves the block, since decoded code may depend on it.
  private func load(_ register: SegmentRegister, _ selector: UInt16, next: UInt64) -> Status {
    guard loadSegment(register, selector) else { return .stop }
    if register == .ss { castInterruptShadow(blocksDebug: true) }
    return go(next)
  }

  private func pushSegment(_ instruction: Instruction) -> Status {
    let selector = UInt64(state.segments[Int(instruction.operands[0].number)].selector)
    let width = instruction.operandSize
    // A 32-bit push writes only the selector's 16 bits (SDM 2B PUSH).
    let pointer = (self[.rsp] &- UInt64(width)) & stackMask
    guard width == 8 ? write(2, pointer, selector) : write(2, pointer, UInt16(selector)) else {
      return .stop
    }
    setStackPointer(pointer)
    return .next
  }

  private func popSegment(_ instruction: Instruction, next: UInt64) -> Status {
    let width = instruction.operandSize
    guard let value = peek(0, width: width) else { return .stop }
    let register = SegmentRegister(rawValue: instruction.operands[0].number)!
    let old = self[.rsp]
    let mask = stackMask
    guard loadSegment(register, UInt16(truncatingIfNeeded: value)) else { return .stop }
    // The old stack's width counts.
    self[.rsp] = (old & ~mask) | ((old &+ UInt64(width)) & mask)
    if register == .ss { castInterruptShadow(blocksDebug: true) }
    return go(next)
  }

  private func loadFarPointer(_ op: Micro, _ instruction: Instruction, next: UInt64) -> Status {
    let address = effectiveAddress(op)
    let width = instruction.operandSize
    guard let offset = readSized(op.segment, address, width),
      let selector: UInt16 = read(op.segment, (address &+ UInt64(width)) & op.addressMask)
    else { return .stop }
    let register: SegmentRegister =
      switch instruction.operation {
      case .les: .es
      case .lds: .ds
      case .lss: .ss
      case .lfs: .fs
      default: .gs
      }
    guard loadSegment(register, selector) else { return .stop }
    setRegister(GeneralRegister(rawValue: instruction.reg)!, width: width, offset)
    return go(next)
  }

  private func moveControl(_ instruction: Instruction, next: UInt64) -> Status {
    let isLoad = instruction.operands[0].kind == .control
    let general = GeneralRegister(rawValue: instruction.rm)!
    let width: UInt8 = state.mode.is64Bit ? 8 : 4
    // LOCK MOV CR0 means CR8 on AMD.
    let number = instruction.reg
    if isLoad {
      guard writeControl(number, register(general, width: width)) else { return .stop }
      return go(next)
    }
    guard let value = readControl(number) else { return .stop }
    setRegister(general, width: width, value)
    return .next
  }

  private func moveDebug(_ instruction: Instruction, next: UInt64) -> Status {
    let isLoad = instruction.operands[0].kind == .debug
    let general = GeneralRegister(rawValue: instruction.rm)!
    let width: UInt8 = state.mode.is64Bit ? 8 : 4
    if isLoad {
      guard writeDebug(instruction.reg, register(general, width: width)) else { return .stop }
      return go(next)
    }
    guard let value = readDebug(instruction.reg) else { return .stop }
    setRegister(general, width: width, value)
    return .next
  }

  private func compareExchange8(_ op: Micro) -> Status {
    let expected = register(.rax, width: 4) | register(.rdx, width: 4) << 32
    let new = register(.rbx, width: 4) | register(.rcx, width: 4) << 32
    var old: UInt64 = 0
    let done = modify(op.segment, effectiveAddress(op), isLocked: op.flags.contains(.lock)) {
      (value: UInt64) in
      old = value
      return value == expected ? new : value
    }
    guard done else { return .stop }
    setZero(old == expected)
    if old != expected {
      setRegister(.rax, width: 4, old)
      setRegister(.rdx, width: 4, old >> 32)
    }
    return .next
  }

  private func setZero(_ zero: Bool) {
    arithmeticFlags = (arithmeticFlags & ~Flags.zero.rawValue) | (zero ? Flags.zero.rawValue : 0)
  }

  /// #GP(0) unless aligned to 16 bytes, so it never crosses a page.
  private func compareExchange16(_ op: Micro) -> Status {
    guard let linear = linearAddress(op.segment, effectiveAddress(op), 16, .write) else {
      return .stop
    }
    guard linear & 15 == 0 else { return raise(.generalProtection, 0) }
    guard let physical = translate(linear, .write, dataRight, segment: op.segment) else {
      return .stop
    }
    guard let host = unsafe env.hostAddress(physical, byteCount: 16) else {
      // A device: no hardware does this atomically either.
      guard let low = readPhysical(physical, 8), let high = readPhysical(physical + 8, 8) else {
        return .stop
      }
      let isEqual = low == self[.rax] && high == self[.rdx]
      guard writePhysical(physical, 8, isEqual ? self[.rbx] : low),
        writePhysical(physical + 8, 8, isEqual ? self[.rcx] : high)
      else { return .stop }
      finishCompareExchange16(low, high, isEqual)
      return .next
    }
    var expected: (UInt64, UInt64) = (self[.rax], self[.rdx])
    let isEqual = unsafe withUnsafeMutablePointer(to: &expected) { pointer in
      // SAFETY: 16 aligned bytes of RAM; a tuple of two words is their array.
      unsafe pointer.withMemoryRebound(to: UInt64.self, capacity: 2) { words in
        unsafe chost_cas128(host, words, self[.rbx], self[.rcx])
      }
    }
    env.noteWrite(physical: physical, byteCount: 16, by: self)
    finishCompareExchange16(expected.0, expected.1, isEqual)
    return .next
  }

  private func finishCompareExchange16(_ low: UInt64, _ high: UInt64, _ isEqual: Bool) {
    setZero(isEqual)
    guard !isEqual else { return }
    self[.rax] = low
    self[.rdx] = high
  }
}
