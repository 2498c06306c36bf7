import X86

/// INC, DEC, NEG, NOT, multiplication, division and conversions.
extension CPU {
  @inline(never)
  func increment(_ op: Micro) -> Status {
    switch op.width {
    case 1: step(UInt8.self, op, up: true)
    case 2: step(UInt16.self, op, up: true)
    case 4: step(UInt32.self, op, up: true)
    default: step(UInt64.self, op, up: true)
    }
  }

  @inline(never)
  func decrement(_ op: Micro) -> Status {
    switch op.width {
    case 1: step(UInt8.self, op, up: false)
    case 2: step(UInt16.self, op, up: false)
    case 4: step(UInt32.self, op, up: false)
    default: step(UInt64.self, op, up: false)
    }
  }

  /// INC and DEC leave CF alone.
  @inline(__always)
  private func step<T: GuestInteger>(
    _: T.Type, _ op: Micro, up: Bool
  ) -> Status {
    let carry = isCarry
    return modifyOperand(op) { (value: T) in
      let result =
        up
        ? Add.apply(value, 1, carryIn: 0, self) : Subtract.apply(value, 1, carryIn: 0, self)
      setCarry(carry)
      return result
    }
  }

  @inline(never)
  func negate(_ op: Micro) -> Status {
    switch op.width {
    case 1: negate(UInt8.self, op)
    case 2: negate(UInt16.self, op)
    case 4: negate(UInt32.self, op)
    default: negate(UInt64.self, op)
    }
  }

  @inline(__always)
  private func negate<T: GuestInteger>(_: T.Type, _ op: Micro) -> Status {
    modifyOperand(op) { (value: T) in Subtract.apply(0, value, carryIn: 0, self) }
  }

  @inline(never)
  func complement(_ op: Micro) -> Status {
    switch op.width {
    case 1: modifyOperand(op) { (value: UInt8) in ~value }
    case 2: modifyOperand(op) { (value: UInt16) in ~value }
    case 4: modifyOperand(op) { (value: UInt32) in ~value }
    default: modifyOperand(op) { (value: UInt64) in ~value }
    }
  }

  // MARK: Multiplication

  /// MUL and one-operand IMUL: AX, DX:AX, EDX:EAX or RDX:RAX.
  @inline(never)
  func multiply(_ op: Micro, signed: Bool) -> Status {
    switch op.width {
    case 1: multiply(UInt8.self, op, signed)
    case 2: multiply(UInt16.self, op, signed)
    case 4: multiply(UInt32.self, op, signed)
    default: multiply(UInt64.self, op, signed)
    }
  }

  @inline(__always)
  private func multiply<T: GuestInteger>(
    _: T.Type, _ op: Micro, _ signed: Bool
  ) -> Status {
    guard let b: T = readOperand(op) else { return .stop }
    let a: T = register(at: 0)
    let high: T
    let low: T
    if signed {
      let product = T.Signed(truncatingIfNeeded: a).multipliedFullWidth(
        by: T.Signed(truncatingIfNeeded: b))
      high = T(truncatingIfNeeded: product.high)
      low = T(truncatingIfNeeded: product.low)
    } else {
      let product = a.multipliedFullWidth(by: b)
      high = product.high
      low = product.low
    }
    if T.bitWidth == 8 {
      setRegister(at: 0, low)
      setRegister(at: 1, high)
    } else {
      setRegister(at: 0, low)
      setRegister(at: 2 * 8, high)
    }
    setMultiplyFlags(low, high, signed)
    return .next
  }

  /// CF and OF say whether the product needed more than its low half. The others are undefined in the
  /// manual; SF, ZF and PF follow the low half and AF is cleared.
  @inline(__always)
  private func setMultiplyFlags<T: GuestInteger>(_ low: T, _ high: T, _ signed: Bool) {
    let fill: T = signed && low.leadingZeroBitCount == 0 ? ~0 : 0
    let overflow = high != fill
    setLogicFlags(low)
    setCarryAndOverflow(overflow, overflow)
  }

  /// IMUL with two or three operands: first = operand × (immediate or first).
  @inline(never)
  func multiplyTruncated(_ op: Micro) -> Status {
    switch op.width {
    case 2: multiplyTruncated(UInt16.self, op)
    case 4: multiplyTruncated(UInt32.self, op)
    default: multiplyTruncated(UInt64.self, op)
    }
  }

  @inline(__always)
  private func multiplyTruncated<T: GuestInteger>(
    _: T.Type, _ op: Micro
  ) -> Status {
    guard let a: T = readOperand(op) else { return .stop }
    let b: T = op.detail != 0 ? T(truncatingIfNeeded: op.immediate) : register(at: op.first)
    let product = T.Signed(truncatingIfNeeded: a).multipliedFullWidth(
      by: T.Signed(truncatingIfNeeded: b))
    let low = T(truncatingIfNeeded: product.low)
    setRegister(at: op.first, low)
    setMultiplyFlags(low, T(truncatingIfNeeded: product.high), true)
    return .next
  }

  // MARK: Division

  @inline(never)
  func divide(_ op: Micro, signed: Bool) -> Status {
    switch op.width {
    case 1: divide8(op, signed)
    case 2: divide(UInt16.self, op, signed)
    case 4: divide(UInt32.self, op, signed)
    default: divide(UInt64.self, op, signed)
    }
  }

  private func divide8(_ op: Micro, _ signed: Bool) -> Status {
    guard let divisor: UInt8 = readOperand(op) else { return .stop }
    guard divisor != 0 else { return raise(.divideError) }
    let dividend: UInt16 = register(at: 0)
    if signed {
      let a = Int32(Int16(bitPattern: dividend))
      let b = Int32(Int8(bitPattern: divisor))
      guard let quotient = Int8(exactly: a / b) else { return raise(.divideError) }
      setRegister(at: 0, UInt8(bitPattern: quotient))
      setRegister(at: 1, UInt8(truncatingIfNeeded: a % b))
    } else {
      let quotient = dividend / UInt16(divisor)
      guard quotient <= 255 else { return raise(.divideError) }
      setRegister(at: 0, UInt8(quotient))
      setRegister(at: 1, UInt8(dividend % UInt16(divisor)))
    }
    return .next
  }

  @inline(__always)
  private func divide<T: GuestInteger>(
    _: T.Type, _ op: Micro, _ signed: Bool
  ) -> Status {
    guard let divisor: T = readOperand(op) else { return .stop }
    guard divisor != 0 else { return raise(.divideError) }
    let high: T = register(at: 2 * 8)
    let low: T = register(at: 0)
    if !signed {
      guard high < divisor else { return raise(.divideError) }
      let (quotient, remainder) = divisor.dividingFullWidth((high, low))
      setRegister(at: 0, quotient)
      setRegister(at: 2 * 8, remainder)
      return .next
    }
    // Divide magnitudes, then give quotient and remainder their signs.
    let top: T = 1 &<< T(truncatingIfNeeded: T.bitWidth &- 1)
    let isNegative = high & top != 0
    let isDivisorNegative = divisor & top != 0
    let magnitudeLow = isNegative ? 0 &- low : low
    let magnitudeHigh = isNegative ? ~high &+ (low == 0 ? 1 : 0) : high
    let magnitudeDivisor = isDivisorNegative ? 0 &- divisor : divisor
    guard magnitudeHigh < magnitudeDivisor else { return raise(.divideError) }
    let (quotient, remainder) = magnitudeDivisor.dividingFullWidth((magnitudeHigh, magnitudeLow))
    let isQuotientNegative = isNegative != isDivisorNegative
    guard quotient <= (isQuotientNegative ? top : top &- 1) else { return raise(.divideError) }
    setRegister(at: 0, isQuotientNegative ? 0 &- quotient : quotient)
    setRegister(at: 2 * 8, isNegative ? 0 &- remainder : remainder)
    return .next
  }

  // MARK: Conversions

  /// CBW, CWDE, CDQE.
  @inline(__always)
  func convertToWider(_ op: Micro) -> Status {
    switch op.width {
    case 2:
      setRegister(at: 0, UInt16(truncatingIfNeeded: CPU.signExtend(register(at: 0, UInt8.self))))
    case 4:
      setRegister(at: 0, UInt32(truncatingIfNeeded: CPU.signExtend(register(at: 0, UInt16.self))))
    default: setRegister(at: 0, CPU.signExtend(register(at: 0, UInt32.self)))
    }
    return .next
  }

  /// CWD, CDQ, CQO.
  @inline(__always)
  func convertToDouble(_ op: Micro) -> Status {
    switch op.width {
    case 2:
      let sign = CPU.signExtend(register(at: 0, UInt16.self)) &>> 63
      setRegister(at: 2 * 8, UInt16(truncatingIfNeeded: 0 &- sign))
    case 4:
      let sign = CPU.signExtend(register(at: 0, UInt32.self)) &>> 63
      setRegister(at: 2 * 8, UInt32(truncatingIfNeeded: 0 &- sign))
    default:
      let sign = register(at: 0, UInt64.self) &>> 63
      setRegister(at: 2 * 8, 0 &- sign)
    }
    return .next
  }
}
