/// Shifts and rotates (SDM 2B SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR). `detail` bits 2:0 are ModRM.reg of the
/// group; bit 3 set: the count is in CL.
extension CPU {
  @inline(never)
  func shift(_ op: Micro) -> Status {
    switch op.width {
    case 1: shift(UInt8.self, op)
    case 2: shift(UInt16.self, op)
    case 4: shift(UInt32.self, op)
    default: shift(UInt64.self, op)
    }
  }

  @inline(__always)
  private func shift<T: GuestInteger>(_: T.Type, _ op: Micro) -> Status {
    let raw: UInt8 =
      op.detail & 8 != 0 ? register(at: 8, UInt8.self) : UInt8(truncatingIfNeeded: op.immediate)
    let count = Int(raw & (T.bitWidth == 64 ? 63 : 31))
    // With a count of zero the destination is still written, and no flag changes.
    if count == 0 {
      return op.flags.contains(.memory)
        ? modifyMemory(op) { (value: T) in value } : zeroShift(T.self, op)
    }
    let carry = isCarry
    let overflow = isOverflow
    return modifyOperand(op) { (value: T) in
      let result: T
      switch op.detail & 7 {
      case 0: result = rotateLeft(value, count)
      case 1: result = rotateRight(value, count)
      case 2: result = rotateCarryLeft(value, count, carry)
      case 3: result = rotateCarryRight(value, count, carry)
      case 5: result = shiftRight(value, count)
      case 7: result = shiftArithmetic(value, count)
      default: result = shiftLeft(value, count)
      }
      if count > 1, env.longShiftsOverflowAsShort {
        let isNothing = count % (T.bitWidth + 1) == 0
        setCarryAndOverflow(
          isCarry,
          firstOverflow(op.detail & 7, value, carry: carry, isNothing ? overflow : nil))
      }
      return result
    }
  }

  /// OF after the first of several steps of a shift or rotate. `before`: OF as it was, if a rotate through CF has come
  /// all the way round.
  @inline(__always)
  private func firstOverflow<T: GuestInteger>(
    _ operation: UInt8, _ value: T, carry: Bool, _ before: Bool?
  ) -> Bool {
    let top = value.leadingZeroBitCount == 0
    switch operation {
    case 1: return top != (value & 1 != 0)
    case 2: return before ?? (top != ((value &<< 1).leadingZeroBitCount == 0))
    case 3: return before ?? (top != carry)
    case 5: return top
    case 7: return false
    default: return top != ((value &<< 1).leadingZeroBitCount == 0)
    }
  }

  /// A 32-bit register's upper half is cleared even by a shift of zero.
  @inline(__always)
  private func zeroShift<T: GuestInteger>(_: T.Type, _ op: Micro) -> Status {
    if T.bitWidth == 32 { setRegister(at: op.first, register(at: op.first, T.self)) }
    return .next
  }

  /// OF is CF xor the result's sign, as for a count of one; for others the manual leaves it undefined, and AMD's
  /// processors do this.
  @inline(__always)
  private func shiftLeft<T: GuestInteger>(_ value: T, _ count: Int) -> T {
    let result: T = count >= T.bitWidth ? 0 : value &<< T(truncatingIfNeeded: count)
    let carry = count > T.bitWidth ? false : (value >> (T.bitWidth - count)) & 1 != 0
    setLogicFlags(result)
    setCarryAndOverflow(carry, carry != (result.leadingZeroBitCount == 0))
    return result
  }

  @inline(__always)
  private func shiftRight<T: GuestInteger>(_ value: T, _ count: Int) -> T {
    let result: T = value >> count
    let carry = (value >> (count - 1)) & 1 != 0
    setLogicFlags(result)
    // The top bits of value, as shifted: for a count of one, the sign of the original.
    let overflow = (result.leadingZeroBitCount == 0) != ((result &<< 1).leadingZeroBitCount == 0)
    setCarryAndOverflow(carry, overflow)
    return result
  }

  @inline(__always)
  private func shiftArithmetic<T: GuestInteger>(_ value: T, _ count: Int) -> T {
    let signed = T.Signed(truncatingIfNeeded: value)
    let result = T(truncatingIfNeeded: signed >> count)
    let carry = (signed >> (count - 1)) & 1 != 0
    setLogicFlags(result)
    setCarryAndOverflow(carry, false)
    return result
  }

  @inline(__always)
  private func rotateLeft<T: GuestInteger>(_ value: T, _ count: Int) -> T {
    let by = count & (T.bitWidth - 1)
    let result = by == 0 ? value : value << by | value >> (T.bitWidth - by)
    let carry = result & 1 != 0
    setCarryAndOverflow(carry, carry != (result.leadingZeroBitCount == 0))
    return result
  }

  @inline(__always)
  private func rotateRight<T: GuestInteger>(_ value: T, _ count: Int) -> T {
    let by = count & (T.bitWidth - 1)
    let result = by == 0 ? value : value >> by | value << (T.bitWidth - by)
    let top = result.leadingZeroBitCount == 0
    setCarryAndOverflow(top, top != ((result &<< 1).leadingZeroBitCount == 0))
    return result
  }

  @inline(__always)
  private func rotateCarryLeft<T: GuestInteger>(_ value: T, _ count: Int, _ carry: Bool) -> T {
    let by = T.bitWidth < 32 ? count % (T.bitWidth + 1) : count
    var result = value
    var carry = carry
    if by != 0 {
      let carryOut = (value >> (T.bitWidth - by)) & 1 != 0
      result = value << by | (carry ? 1 : 0) << (by - 1)
      if by > 1 { result |= value >> (T.bitWidth + 1 - by) }
      carry = carryOut
    }
    setCarryAndOverflow(carry, carry != (result.leadingZeroBitCount == 0))
    return result
  }

  @inline(__always)
  private func rotateCarryRight<T: GuestInteger>(_ value: T, _ count: Int, _ carry: Bool) -> T {
    let by = T.bitWidth < 32 ? count % (T.bitWidth + 1) : count
    var result = value
    var carry = carry
    if by != 0 {
      let carryOut = (value >> (by - 1)) & 1 != 0
      result = value >> by | (carry ? 1 : 0) << (T.bitWidth - by)
      if by > 1 { result |= value << (T.bitWidth + 1 - by) }
      carry = carryOut
    }
    let top = result.leadingZeroBitCount == 0
    setCarryAndOverflow(carry, top != ((result &<< 1).leadingZeroBitCount == 0))
    return result
  }

  // MARK: SHLD, SHRD

  /// `detail` bit 0: right; bit 3: the count is in CL. `second` is the register shifted in.
  @inline(never)
  func doubleShift(_ op: Micro) -> Status {
    switch op.width {
    case 2: doubleShift(UInt16.self, op)
    case 4: doubleShift(UInt32.self, op)
    default: doubleShift(UInt64.self, op)
    }
  }

  @inline(__always)
  private func doubleShift<T: GuestInteger>(
    _: T.Type, _ op: Micro
  ) -> Status {
    let raw: UInt8 =
      op.detail & 8 != 0 ? register(at: 8, UInt8.self) : UInt8(truncatingIfNeeded: op.immediate)
    let count = Int(raw & (T.bitWidth == 64 ? 63 : 31))
    if count == 0 {
      return op.flags.contains(.memory)
        ? modifyMemory(op) { (value: T) in value } : zeroShift(T.self, op)
    }
    let fill: T = register(at: op.second)
    let isRight = op.detail & 1 != 0
    return modifyOperand(op) { (value: T) in
      isRight ? doubleShiftRight(value, fill, count) : doubleShiftLeft(value, fill, count)
    }
  }

  /// Counts above 16 with 16-bit operands are undefined; like the hardware at hand, the
  /// operands are then taken as value:fill:value.
  @inline(__always)
  private func doubleShiftLeft<T: GuestInteger>(_ value: T, _ fill: T, _ count: Int) -> T {
    let result: T
    let carry: Bool
    if count <= T.bitWidth {
      result = value << count | fill >> (T.bitWidth - count)
      carry = (value >> (T.bitWidth - count)) & 1 != 0
    } else {
      let rest = count - T.bitWidth
      result = fill << rest | value >> (T.bitWidth - rest)
      carry = (fill >> (T.bitWidth - rest)) & 1 != 0
    }
    setLogicFlags(result)
    setCarryAndOverflow(
      carry, (result.leadingZeroBitCount == 0) != carry)
    return result
  }

  @inline(__always)
  private func doubleShiftRight<T: GuestInteger>(_ value: T, _ fill: T, _ count: Int) -> T {
    let result: T
    let carry: Bool
    if count <= T.bitWidth {
      result = value >> count | fill << (T.bitWidth - count)
      carry = (value >> (count - 1)) & 1 != 0
    } else {
      let rest = count - T.bitWidth
      result = fill >> rest | value << (T.bitWidth - rest)
      carry = (fill >> (rest - 1)) & 1 != 0
    }
    setLogicFlags(result)
    let overflow = (result.leadingZeroBitCount == 0) != ((result &<< 1).leadingZeroBitCount == 0)
    setCarryAndOverflow(carry, overflow)
    return result
  }
}
