import X86

/// The arithmetic flags, computed when asked for.
///
/// `flagResult` is the last result, sign-extended to 64 bits: ZF is "it is zero", SF its sign, PF the
/// parity of its low byte. `flagAuxiliary` holds what cannot be read off a result:
/// - bit 63: CF
/// - bit 62: CF xor OF
/// - bit 3: AF
/// - bit 32: invert SF; bits 15:8: xored into the byte that PF is computed from — both only after
///   flags were set outright.
///
/// For an addition or subtraction of n bits both carry bits come straight off its carry vector. The idea is
/// Bochs' (cpu/lazy_flags.h).
enum LazyFlags {
  static let carry: UInt64 = 1 << 63
  static let carryXorOverflow: UInt64 = 1 << 62
  static let adjust: UInt64 = 1 << 3
  static let invertSign: UInt64 = 1 << 32
  static let kept: UInt64 = carry | carryXorOverflow | adjust
}

extension CPU {
  @inline(__always)
  func setLogicFlags<T: GuestInteger>(_ result: T) {
    state.flagResult = CPU.signExtend(result)
    state.flagAuxiliary = 0
  }

  /// - Parameter carries: for each bit, whether an addition carried (a subtraction borrowed) out of it.
  @inline(__always)
  func setArithmeticFlags<T: GuestInteger>(_ result: T, carries: T) {
    state.flagResult = CPU.signExtend(result)
    let wide = UInt64(truncatingIfNeeded: carries)
    if T.bitWidth == 64 {
      state.flagAuxiliary = wide & LazyFlags.kept
    } else {
      let top = wide &<< UInt64(64 &- T.bitWidth)
      state.flagAuxiliary =
        (top & (LazyFlags.carry | LazyFlags.carryXorOverflow)) | (wide & LazyFlags.adjust)
    }
    // Bit 62 is now the carry INTO the top bit; OF is its xor with CF.
  }

  @inline(__always)
  static func signExtend<T: GuestInteger>(_ value: T) -> UInt64 {
    UInt64(bitPattern: Int64(truncatingIfNeeded: T.Signed(truncatingIfNeeded: value)))
  }

  @inline(__always) var isCarry: Bool { state.flagAuxiliary &>> 63 != 0 }

  @inline(__always) var isOverflow: Bool {
    let auxiliary = state.flagAuxiliary
    return (auxiliary ^ (auxiliary &<< 1)) &>> 63 != 0
  }

  @inline(__always) var isZero: Bool { state.flagResult == 0 }

  @inline(__always) var isSign: Bool {
    (state.flagResult ^ ((state.flagAuxiliary & LazyFlags.invertSign) &<< 31)) &>> 63 != 0
  }

  @inline(__always) var isParity: Bool {
    let byte =
      UInt8(truncatingIfNeeded: state.flagResult)
      ^ UInt8(truncatingIfNeeded: state.flagAuxiliary &>> 8)
    return byte.nonzeroBitCount & 1 == 0
  }

  @inline(__always) var isAdjust: Bool { state.flagAuxiliary & LazyFlags.adjust != 0 }

  /// Sets CF, leaving the others.
  @inline(__always)
  func setCarry(_ carry: Bool) {
    let overflow = isOverflow
    var auxiliary = state.flagAuxiliary & ~(LazyFlags.carry | LazyFlags.carryXorOverflow)
    if carry { auxiliary |= LazyFlags.carry }
    if carry != overflow { auxiliary |= LazyFlags.carryXorOverflow }
    state.flagAuxiliary = auxiliary
  }

  /// Sets CF and OF, leaving the others.
  @inline(__always)
  func setCarryAndOverflow(_ carry: Bool, _ overflow: Bool) {
    var auxiliary = state.flagAuxiliary & ~(LazyFlags.carry | LazyFlags.carryXorOverflow)
    if carry { auxiliary |= LazyFlags.carry }
    if carry != overflow { auxiliary |= LazyFlags.carryXorOverflow }
    state.flagAuxiliary = auxiliary
  }

  /// CF, PF, AF, ZF, SF and OF at their places in RFLAGS.
  @inline(__always)
  var arithmeticFlags: UInt64 {
    get {
      var flags: UInt64 = 0
      if isCarry { flags |= 1 }
      if isParity { flags |= 1 << 2 }
      if isAdjust { flags |= 1 << 4 }
      if isZero { flags |= 1 << 6 }
      if isSign { flags |= 1 << 7 }
      if isOverflow { flags |= 1 << 11 }
      return flags
    }
    nonmutating set {
      // Any result with the right zeroness does; sign and parity are then corrected.
      let zero = newValue & (1 << 6) != 0
      state.flagResult = zero ? 0 : 1
      var auxiliary: UInt64 = 0
      if newValue & (1 << 7) != 0 { auxiliary |= LazyFlags.invertSign }
      let parityOfResult = zero
      if (newValue & (1 << 2) != 0) != parityOfResult { auxiliary |= 1 << 8 }
      if newValue & (1 << 4) != 0 { auxiliary |= LazyFlags.adjust }
      let carry = newValue & 1 != 0
      if carry { auxiliary |= LazyFlags.carry }
      if carry != (newValue & (1 << 11) != 0) { auxiliary |= LazyFlags.carryXorOverflow }
      state.flagAuxiliary = auxiliary
    }
  }

  /// RFLAGS, complete.
  var flags: UInt64 {
    get { state.otherFlags | arithmeticFlags | 2 }
    nonmutating set {
      arithmeticFlags = newValue
      let mask = Flags.arithmetic.rawValue
      let others = (newValue & ~mask & CPU.definedFlags) | 2
      let changed = state.otherFlags ^ others
      state.otherFlags = others
      flagsChanged(changed)
    }
  }

  /// Every bit of RFLAGS that exists.
  static let definedFlags: UInt64 = 0x3F_7FD7

  /// Evaluates a condition code, bits 3:0 of Jcc, SETcc and CMOVcc.
  @inline(__always)
  func condition(_ code: UInt8) -> Bool {
    let value: Bool
    switch (code &>> 1) & 7 {
    case 0: value = isOverflow
    case 1: value = isCarry
    case 2: value = isZero
    case 3: value = isCarry || isZero
    case 4: value = isSign
    case 5: value = isParity
    case 6: value = isSign != isOverflow
    default: value = isZero || isSign != isOverflow
    }
    return value != (code & 1 != 0)
  }
}
