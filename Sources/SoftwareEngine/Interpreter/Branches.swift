import X86

/// Near branches, calls and returns, and loops. Targets of direct branches are kept in `immediate`,
/// relative to the block's start; `detail` bit 7: the operand size truncates the target to 16 bits.
extension CPU {
  @inline(__always)
  func jumpConditional(_ op: Micro) -> Status {
    if condition(op.detail) { return jumpRelative(op) }
    rip = rip &+ op.nextOffset
    return .jump
  }

  @inline(__always)
  func jumpRelative(_ op: Micro) -> Status {
    jump(to: rip &+ op.immediate, width: op.width)
  }

  /// Goes to an offset in CS; a target outside the limit or not canonical is #GP(0).
  @inline(__always)
  func jump(to target: UInt64, width: UInt8) -> Status {
    if state.mode.is64Bit, width == 8 {
      guard isCanonical(target) else { return raise(.generalProtection, 0) }
      rip = target
      return .jump
    }
    let masked = target & CPU.mask(width)
    guard state.mode.is64Bit || masked <= UInt64(state.segments[1].limit) else {
      return raise(.generalProtection, 0)
    }
    rip = masked
    return .jump
  }

  @inline(__always)
  func callRelative(_ op: Micro) -> Status {
    call(rip &+ op.immediate, op)
  }

  @inline(__always)
  private func call(_ target: UInt64, _ op: Micro) -> Status {
    let start = rip
    let back = (start &+ op.nextOffset) & returnMask
    let status = jump(to: target, width: op.width)
    guard status == .jump else { return status }
    guard push(back, width: op.width) else {
      rip = start
      return .stop
    }
    return .jump
  }

  @inline(__always)
  private var returnMask: UInt64 { CPU.mask(state.mode.codeWidth) }

  @inline(__always)
  private func branchTarget(_ op: Micro) -> UInt64? {
    switch op.width {
    case 2: return readOperand(op, UInt16.self).map { UInt64($0) }
    case 4: return readOperand(op, UInt32.self).map { UInt64($0) }
    default: return readOperand(op, UInt64.self)
    }
  }

  @inline(__always)
  func jumpIndirect(_ op: Micro) -> Status {
    guard let target = branchTarget(op) else { return .stop }
    return jump(to: target, width: op.width)
  }

  @inline(__always)
  func callIndirect(_ op: Micro) -> Status {
    guard let target = branchTarget(op) else { return .stop }
    return call(target, op)
  }

  @inline(__always)
  func returnNear(_ op: Micro) -> Status {
    guard let target = peek(0, width: op.width) else { return .stop }
    let status = jump(to: target, width: op.width)
    guard status == .jump else { return status }
    setStackPointer(self[.rsp] &+ UInt64(op.width) &+ op.immediate)
    return .jump
  }

  /// LOOP, LOOPE, LOOPNE by `detail` 2, 1, 0 (the opcode's low bits); the counter has the
  /// address size, which `addressMask` shows.
  @inline(never)
  func loop(_ op: Micro) -> Status {
    let width = addressWidth(op)
    let count = (register(.rcx, width: width) &- 1) & op.addressMask
    var taken = count != 0
    switch op.detail & 3 {
    case 0: taken = taken && !isZero
    case 1: taken = taken && isZero
    default: break
    }
    guard taken else {
      setRegister(.rcx, width: width, count)
      rip = rip &+ op.nextOffset
      return .jump
    }
    let status = jumpRelative(op)
    if status == .jump { setRegister(.rcx, width: width, count) }
    return status
  }

  @inline(never)
  func jumpIfCounterZero(_ op: Micro) -> Status {
    if self[.rcx] & op.addressMask == 0 { return jumpRelative(op) }
    rip = rip &+ op.nextOffset
    return .jump
  }

  @inline(__always)
  func addressWidth(_ op: Micro) -> UInt8 {
    op.addressMask == ~0 ? 8 : (op.addressMask == 0xFFFF_FFFF ? 4 : 2)
  }
}
