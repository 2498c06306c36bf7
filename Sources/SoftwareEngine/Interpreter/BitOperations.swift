import X86

/// BT and its kin, bit scans and counts, byte swaps, BMI, ADX.
extension CPU {
  /// `detail` bits 1:0: test, set, reset, complement; bit 3: the bit number is in `second`, and with
  /// a memory operand selects a word far from the address.
  @inline(never)
  func bitTest(_ op: Micro) -> Status {
    switch op.width {
    case 2: bitTest(UInt16.self, op)
    case 4: bitTest(UInt32.self, op)
    default: bitTest(UInt64.self, op)
    }
  }

  @inline(__always)
  private func bitTest<T: GuestInteger>(_: T.Type, _ op: Micro) -> Status {
    let isRegister = op.detail & 8 != 0
    let number = isRegister ? CPU.signExtend(register(at: op.second, T.self)) : op.immediate
    let bit = T(truncatingIfNeeded: number & UInt64(T.bitWidth - 1))
    let kind = op.detail & 3
    let mask: T = 1 &<< bit
    var old: T = 0
    if op.flags.contains(.memory) {
      var address = effectiveAddress(op)
      if isRegister {
        let words = Int64(bitPattern: number) >> Int64(T.bitWidth.trailingZeroBitCount)
        address = (address &+ UInt64(bitPattern: words &* Int64(T.bitWidth / 8))) & op.addressMask
      }
      if kind == 0 {
        guard let value: T = read(op.segment, address) else { return .stop }
        old = value
      } else {
        let isLocked = op.flags.contains(.lock)
        let done = modify(op.segment, address, isLocked: isLocked) { (value: T) in
          old = value
          return kind == 1 ? value | mask : (kind == 2 ? value & ~mask : value ^ mask)
        }
        guard done else { return .stop }
      }
    } else {
      old = register(at: op.first)
      switch kind {
      case 0: break
      case 1: setRegister(at: op.first, old | mask)
      case 2: setRegister(at: op.first, old & ~mask)
      default: setRegister(at: op.first, old ^ mask)
      }
    }
    setCarry(old & mask != 0)
    return .next
  }

  /// `detail`: 0 BSF, 1 BSR, 2 TZCNT, 3 LZCNT, 4 POPCNT.
  @inline(never)
  func bitScan(_ op: Micro, kind: UInt8) -> Status {
    switch op.width {
    case 2: bitScan(UInt16.self, op, kind)
    case 4: bitScan(UInt32.self, op, kind)
    default: bitScan(UInt64.self, op, kind)
    }
  }

  @inline(__always)
  private func bitScan<T: GuestInteger>(
    _: T.Type, _ op: Micro, _ kind: UInt8
  ) -> Status {
    guard let value: T = readOperand(op) else { return .stop }
    let trailing = T(truncatingIfNeeded: value.trailingZeroBitCount)
    let leading = T(truncatingIfNeeded: value.leadingZeroBitCount)
    switch kind {
    case 0, 1:
      // With a zero source ZF is set and all 64 bits stay, as AMD documents; the rest of the
      // flags is undefined and left alone.
      let flags = arithmeticFlags & ~(1 << 6)
      if value == 0 {
        arithmeticFlags = flags | 1 << 6
      } else {
        arithmeticFlags = flags
        let index = kind == 0 ? trailing : T(truncatingIfNeeded: T.bitWidth - 1) &- leading
        setRegister(at: op.first, index)
      }
    case 2, 3:
      let count = kind == 2 ? trailing : leading
      setRegister(at: op.first, count)
      let kept = arithmeticFlags & ~0x41
      arithmeticFlags = kept | (value == 0 ? 1 : 0) | (count == 0 ? 0x40 : 0)
    default:
      setRegister(at: op.first, T(truncatingIfNeeded: value.nonzeroBitCount))
      arithmeticFlags = value == 0 ? 0x40 : 0
    }
    return .next
  }

  @inline(__always)
  func byteSwap(_ op: Micro) -> Status {
    switch op.width {
    // Undefined in the manual; hardware clears the register.
    case 2: setRegister(at: op.first, UInt16(0))
    case 4: setRegister(at: op.first, register(at: op.first, UInt32.self).byteSwapped)
    default: setRegister(at: op.first, register(at: op.first, UInt64.self).byteSwapped)
    }
    return .next
  }

  /// `detail`: 0 load, 1 store.
  @inline(never)
  func moveBigEndian(_ op: Micro) -> Status {
    switch op.width {
    case 2: moveBigEndian(UInt16.self, op)
    case 4: moveBigEndian(UInt32.self, op)
    default: moveBigEndian(UInt64.self, op)
    }
  }

  @inline(__always)
  private func moveBigEndian<T: GuestInteger>(
    _: T.Type, _ op: Micro
  ) -> Status {
    if op.detail == 1 {
      return writeMemory(op, register(at: op.second, T.self).byteSwapped) ? .next : .stop
    }
    guard let value: T = readMemory(op) else { return .stop }
    setRegister(at: op.first, value.byteSwapped)
    return .next
  }

  /// CRC32 by the Castagnoli polynomial; `detail` is the source's width.
  @inline(never)
  func crc32(_ op: Micro) -> Status {
    var data: UInt64
    switch op.detail {
    case 1:
      guard let value: UInt8 = readOperand(op) else { return .stop }
      data = UInt64(value)
    case 2:
      guard let value: UInt16 = readOperand(op) else { return .stop }
      data = UInt64(value)
    case 4:
      guard let value: UInt32 = readOperand(op) else { return .stop }
      data = UInt64(value)
    default:
      guard let value: UInt64 = readOperand(op) else { return .stop }
      data = value
    }
    var crc: UInt32 = register(at: op.first)
    for _ in 0..<op.detail {
      crc ^= UInt32(data & 0xFF)
      data >>= 8
      for _ in 0..<8 { crc = crc & 1 != 0 ? (crc >> 1) ^ 0x82F6_3B78 : crc >> 1 }
    }
    setRegister(at: op.first, UInt64(crc))
    return .next
  }

  // MARK: BMI1, BMI2, ADX. Three-operand forms keep VEX.vvvv's register in `detail`.

  @inline(never)
  func bitManipulation(_ op: Micro) -> Status {
    op.width == 4 ? bitManipulation(UInt32.self, op) : bitManipulation(UInt64.self, op)
  }

  @inline(__always)
  private func bitManipulation<T: GuestInteger>(
    _: T.Type, _ op: Micro
  ) -> Status {
    guard let source: T = readOperand(op) else { return .stop }
    let other: T = register(at: op.detail)
    let width = T(truncatingIfNeeded: T.bitWidth)
    switch op.handler {
    case .andn:
      let result = ~other & source
      setLogicFlags(result)
      setRegister(at: op.first, result)
    case .blsi:
      let result = source & (0 &- source)
      setLogicFlags(result)
      setCarry(source != 0)
      setRegister(at: op.detail, result)
    case .blsmsk:
      let result = source ^ (source &- 1)
      setLogicFlags(result)
      setCarry(source == 0)
      setRegister(at: op.detail, result)
    case .blsr:
      let result = source & (source &- 1)
      setLogicFlags(result)
      setCarry(source == 0)
      setRegister(at: op.detail, result)
    case .bextr:
      let start = other & 0xFF
      let length = (other >> 8) & 0xFF
      var result: T = start >= width ? 0 : source >> start
      if length < width { result &= (1 << length) &- 1 }
      setLogicFlags(result)
      setRegister(at: op.first, result)
    case .bzhi:
      let index = other & 0xFF
      let result = index < width ? source & ((1 << index) &- 1) : source
      setLogicFlags(result)
      setCarry(index >= width)
      setRegister(at: op.first, result)
    case .mulx:
      let product = source.multipliedFullWidth(by: register(at: 2 * 8, T.self))
      // When both destinations are the same register, the high half stays.
      setRegister(at: op.detail, T(truncatingIfNeeded: product.low))
      setRegister(at: op.first, product.high)
    case .pdep:
      var result: T = 0
      var mask = source
      var bits = other
      while mask != 0 {
        let lowest = mask & (0 &- mask)
        if bits & 1 != 0 { result |= lowest }
        bits >>= 1
        mask &= mask &- 1
      }
      setRegister(at: op.first, result)
    case .pext:
      var result: T = 0
      var mask = source
      var place: T = 1
      while mask != 0 {
        let lowest = mask & (0 &- mask)
        if other & lowest != 0 { result |= place }
        place = place &<< 1
        mask &= mask &- 1
      }
      setRegister(at: op.first, result)
    case .rorx:
      let by = T(truncatingIfNeeded: op.immediate) & (width - 1)
      let result = by == 0 ? source : source >> by | source << (width - by)
      setRegister(at: op.first, result)
    case .sarx:
      let signed = T.Signed(truncatingIfNeeded: source)
      setRegister(at: op.first, T(truncatingIfNeeded: signed >> (other & (width - 1))))
    case .shlx: setRegister(at: op.first, source << (other & (width - 1)))
    case .shrx: setRegister(at: op.first, source >> (other & (width - 1)))
    case .adcx, .adox:
      let isCarryForm = op.handler == .adcx
      let carryIn: T = (isCarryForm ? isCarry : isOverflow) ? 1 : 0
      let destination: T = register(at: op.first)
      let (partial, firstCarry) = destination.addingReportingOverflow(source)
      let (sum, secondCarry) = partial.addingReportingOverflow(carryIn)
      let carryOut = firstCarry || secondCarry
      setCarryAndOverflow(isCarryForm ? carryOut : isCarry, isCarryForm ? isOverflow : carryOut)
      setRegister(at: op.first, sum)
    default: return raise(.invalidOpcode)
    }
    return .next
  }

  // MARK: Decimal adjustment (SDM 2A AAA…DAS). `detail`: aaa, aad, aam, aas, daa, das.

  @inline(never)
  func decimalAdjust(_ op: Micro) -> Status {
    let al: UInt8 = register(at: 0)
    let ah: UInt8 = register(at: 1)
    let base = UInt8(truncatingIfNeeded: op.immediate)
    switch op.detail {
    case 0, 3:
      let adjusts = al & 15 > 9 || isAdjust
      var ax: UInt16 = register(at: 0)
      if adjusts { ax = op.detail == 0 ? ax &+ 0x106 : ax &- 6 &- 0x100 }
      let result = UInt8(truncatingIfNeeded: ax & 15)
      setRegister(at: 0, (ax & 0xFF00) | UInt16(result))
      setLogicFlags(result)
      state.flagAuxiliary |= adjusts ? LazyFlags.adjust : 0
      setCarry(adjusts)
    case 1:
      let result = al &+ ah &* base
      setRegister(at: 0, UInt16(result))
      setLogicFlags(result)
    case 2:
      guard base != 0 else { return raise(.divideError) }
      setRegister(at: 1, al / base)
      setRegister(at: 0, al % base)
      setLogicFlags(al % base)
    default:
      let isAddition = op.detail == 4
      let oldCarry = isCarry
      var result = al
      var carry = false
      let adjusts = al & 15 > 9 || isAdjust
      if adjusts {
        carry = oldCarry || (isAddition ? al > 0xF9 : al < 6)
        result = isAddition ? result &+ 6 : result &- 6
      }
      if al > 0x99 || oldCarry {
        result = isAddition ? result &+ 0x60 : result &- 0x60
        carry = true
      } else if isAddition {
        carry = false || (adjusts && carry)
      }
      setRegister(at: 0, result)
      setLogicFlags(result)
      state.flagAuxiliary |= adjusts ? LazyFlags.adjust : 0
      setCarry(carry)
    }
    return .next
  }
}
