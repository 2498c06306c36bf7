/// The two-operand arithmetic and logic instructions: pure functions with a rule for the flags.
protocol BinaryOperation {
  /// The result; sets the arithmetic flags.
  static func apply<T: GuestInteger>(_ a: T, _ b: T, carryIn: T, _ cpu: CPU) -> T
  /// Whether the carry flag is an input.
  static var usesCarry: Bool { get }
  /// Whether the result is only for the flags.
  static var discardsResult: Bool { get }
}

extension BinaryOperation {
  @inline(__always) static var usesCarry: Bool { false }
  @inline(__always) static var discardsResult: Bool { false }
}

enum Add: BinaryOperation {
  @inline(__always)
  static func apply<T: GuestInteger>(_ a: T, _ b: T, carryIn: T, _ cpu: CPU) -> T {
    let sum = a &+ b
    cpu.setArithmeticFlags(sum, carries: (a & b) | ((a | b) & ~sum))
    return sum
  }
}

enum AddWithCarry: BinaryOperation {
  @inline(__always) static var usesCarry: Bool { true }
  @inline(__always)
  static func apply<T: GuestInteger>(_ a: T, _ b: T, carryIn: T, _ cpu: CPU) -> T {
    let sum = a &+ b &+ carryIn
    cpu.setArithmeticFlags(sum, carries: (a & b) | ((a | b) & ~sum))
    return sum
  }
}

enum Subtract: BinaryOperation {
  @inline(__always)
  static func apply<T: GuestInteger>(_ a: T, _ b: T, carryIn: T, _ cpu: CPU) -> T {
    let difference = a &- b
    cpu.setArithmeticFlags(difference, carries: (~a & b) | (~(a ^ b) & difference))
    return difference
  }
}

enum SubtractWithBorrow: BinaryOperation {
  @inline(__always) static var usesCarry: Bool { true }
  @inline(__always)
  static func apply<T: GuestInteger>(_ a: T, _ b: T, carryIn: T, _ cpu: CPU) -> T {
    let difference = a &- b &- carryIn
    cpu.setArithmeticFlags(difference, carries: (~a & b) | (~(a ^ b) & difference))
    return difference
  }
}

enum Compare: BinaryOperation {
  @inline(__always) static var discardsResult: Bool { true }
  @inline(__always)
  static func apply<T: GuestInteger>(_ a: T, _ b: T, carryIn: T, _ cpu: CPU) -> T {
    Subtract.apply(a, b, carryIn: 0, cpu)
  }
}

enum And: BinaryOperation {
  @inline(__always)
  static func apply<T: GuestInteger>(_ a: T, _ b: T, carryIn: T, _ cpu: CPU) -> T {
    cpu.setLogicFlags(a & b)
    return a & b
  }
}

enum Or: BinaryOperation {
  @inline(__always)
  static func apply<T: GuestInteger>(_ a: T, _ b: T, carryIn: T, _ cpu: CPU) -> T {
    cpu.setLogicFlags(a | b)
    return a | b
  }
}

enum ExclusiveOr: BinaryOperation {
  @inline(__always)
  static func apply<T: GuestInteger>(_ a: T, _ b: T, carryIn: T, _ cpu: CPU) -> T {
    cpu.setLogicFlags(a ^ b)
    return a ^ b
  }
}

enum Test: BinaryOperation {
  @inline(__always) static var discardsResult: Bool { true }
  @inline(__always)
  static func apply<T: GuestInteger>(_ a: T, _ b: T, carryIn: T, _ cpu: CPU) -> T {
    cpu.setLogicFlags(a & b)
    return 0
  }
}

extension CPU {
  /// Dispatches on the operands' forms; compiled once for each operation.
  @inline(never)
  func binary<O: BinaryOperation>(_: O.Type, _ op: Micro) -> Status {
    switch op.shape {
    case .rr8: return registerRegister(O.self, UInt8.self, op)
    case .rr16: return registerRegister(O.self, UInt16.self, op)
    case .rr32: return registerRegister(O.self, UInt32.self, op)
    case .rr64: return registerRegister(O.self, UInt64.self, op)
    case .rm8: return registerMemory(O.self, UInt8.self, op)
    case .rm16: return registerMemory(O.self, UInt16.self, op)
    case .rm32: return registerMemory(O.self, UInt32.self, op)
    case .rm64: return registerMemory(O.self, UInt64.self, op)
    case .mr8: return memoryRegister(O.self, UInt8.self, op)
    case .mr16: return memoryRegister(O.self, UInt16.self, op)
    case .mr32: return memoryRegister(O.self, UInt32.self, op)
    case .mr64: return memoryRegister(O.self, UInt64.self, op)
    case .ri8: return registerImmediate(O.self, UInt8.self, op)
    case .ri16: return registerImmediate(O.self, UInt16.self, op)
    case .ri32: return registerImmediate(O.self, UInt32.self, op)
    case .ri64: return registerImmediate(O.self, UInt64.self, op)
    case .mi8: return memoryImmediate(O.self, UInt8.self, op)
    case .mi16: return memoryImmediate(O.self, UInt16.self, op)
    case .mi32: return memoryImmediate(O.self, UInt32.self, op)
    case .mi64: return memoryImmediate(O.self, UInt64.self, op)
    }
  }

  @inline(__always)
  private func carryIn<O: BinaryOperation, T: GuestInteger>(_: O.Type, _: T.Type) -> T {
    O.usesCarry && isCarry ? 1 : 0
  }

  @inline(__always)
  private func registerRegister<O: BinaryOperation, T: GuestInteger>(
    _: O.Type, _: T.Type, _ op: Micro
  ) -> Status {
    let a: T = register(at: op.first)
    let b: T = register(at: op.second)
    let result = O.apply(a, b, carryIn: carryIn(O.self, T.self), self)
    if !O.discardsResult { setRegister(at: op.first, result) }
    return .next
  }

  @inline(__always)
  private func registerMemory<O: BinaryOperation, T: GuestInteger>(
    _: O.Type, _: T.Type, _ op: Micro
  ) -> Status {
    guard let b: T = readMemory(op) else { return .stop }
    let a: T = register(at: op.first)
    let result = O.apply(a, b, carryIn: carryIn(O.self, T.self), self)
    if !O.discardsResult { setRegister(at: op.first, result) }
    return .next
  }

  @inline(__always)
  private func registerImmediate<O: BinaryOperation, T: GuestInteger>(
    _: O.Type, _: T.Type, _ op: Micro
  ) -> Status {
    let a: T = register(at: op.first)
    let b = T(truncatingIfNeeded: op.immediate)
    let result = O.apply(a, b, carryIn: carryIn(O.self, T.self), self)
    if !O.discardsResult { setRegister(at: op.first, result) }
    return .next
  }

  @inline(__always)
  private func memoryRegister<O: BinaryOperation, T: GuestInteger>(
    _: O.Type, _: T.Type, _ op: Micro
  ) -> Status {
    memoryDestination(O.self, op, register(at: op.second, T.self))
  }

  @inline(__always)
  private func memoryImmediate<O: BinaryOperation, T: GuestInteger>(
    _: O.Type, _: T.Type, _ op: Micro
  ) -> Status {
    memoryDestination(O.self, op, T(truncatingIfNeeded: op.immediate))
  }

  @inline(__always)
  private func memoryDestination<O: BinaryOperation, T: GuestInteger>(
    _: O.Type, _ op: Micro, _ b: T
  ) -> Status {
    let carry = carryIn(O.self, T.self)
    if O.discardsResult {
      guard let a: T = readMemory(op) else { return .stop }
      _ = O.apply(a, b, carryIn: carry, self)
      return .next
    }
    return modifyMemory(op) { (a: T) in O.apply(a, b, carryIn: carry, self) }
  }
}

// MARK: MOV, XCHG, XADD, CMPXCHG

extension CPU {
  @inline(__always)
  func move(_ op: Micro) -> Status {
    switch op.shape {
    case .rr8: setRegister(at: op.first, register(at: op.second, UInt8.self))
    case .rr16: setRegister(at: op.first, register(at: op.second, UInt16.self))
    case .rr32: setRegister(at: op.first, register(at: op.second, UInt32.self))
    case .rr64: setRegister(at: op.first, register(at: op.second, UInt64.self))
    case .rm8: return loadRegister(UInt8.self, op)
    case .rm16: return loadRegister(UInt16.self, op)
    case .rm32: return loadRegister(UInt32.self, op)
    case .rm64: return loadRegister(UInt64.self, op)
    case .mr8: return writeMemory(op, register(at: op.second, UInt8.self)) ? .next : .stop
    case .mr16: return writeMemory(op, register(at: op.second, UInt16.self)) ? .next : .stop
    case .mr32: return writeMemory(op, register(at: op.second, UInt32.self)) ? .next : .stop
    case .mr64: return writeMemory(op, register(at: op.second, UInt64.self)) ? .next : .stop
    case .ri8: setRegister(at: op.first, UInt8(truncatingIfNeeded: op.immediate))
    case .ri16: setRegister(at: op.first, UInt16(truncatingIfNeeded: op.immediate))
    case .ri32: setRegister(at: op.first, UInt32(truncatingIfNeeded: op.immediate))
    case .ri64: setRegister(at: op.first, op.immediate)
    case .mi8: return writeMemory(op, UInt8(truncatingIfNeeded: op.immediate)) ? .next : .stop
    case .mi16: return writeMemory(op, UInt16(truncatingIfNeeded: op.immediate)) ? .next : .stop
    case .mi32: return writeMemory(op, UInt32(truncatingIfNeeded: op.immediate)) ? .next : .stop
    case .mi64: return writeMemory(op, op.immediate) ? .next : .stop
    }
    return .next
  }

  @inline(__always)
  private func loadRegister<T: GuestInteger>(
    _: T.Type, _ op: Micro
  ) -> Status {
    guard let value: T = readMemory(op) else { return .stop }
    setRegister(at: op.first, value)
    return .next
  }

  /// `first`: the register-or-memory operand's register; `second`: the other register.
  @inline(never)
  func exchange(_ op: Micro) -> Status {
    switch op.width {
    case 1: exchange(UInt8.self, op)
    case 2: exchange(UInt16.self, op)
    case 4: exchange(UInt32.self, op)
    default: exchange(UInt64.self, op)
    }
  }

  @inline(__always)
  private func exchange<T: GuestInteger>(_: T.Type, _ op: Micro) -> Status {
    let new: T = register(at: op.second)
    var old: T = 0
    // XCHG with memory locks without being told to.
    if op.flags.contains(.memory) {
      let done = modify(op.segment, effectiveAddress(op), isLocked: true) { (value: T) in
        old = value
        return new
      }
      guard done else { return .stop }
    } else {
      old = register(at: op.first)
      setRegister(at: op.first, new)
    }
    setRegister(at: op.second, old)
    return .next
  }

  @inline(never)
  func exchangeAdd(_ op: Micro) -> Status {
    switch op.width {
    case 1: exchangeAdd(UInt8.self, op)
    case 2: exchangeAdd(UInt16.self, op)
    case 4: exchangeAdd(UInt32.self, op)
    default: exchangeAdd(UInt64.self, op)
    }
  }

  @inline(__always)
  private func exchangeAdd<T: GuestInteger>(
    _: T.Type, _ op: Micro
  ) -> Status {
    let addend: T = register(at: op.second)
    var old: T = 0
    if op.flags.contains(.memory) {
      let status = modifyMemory(op) { (value: T) in
        old = value
        return Add.apply(value, addend, carryIn: 0, self)
      }
      guard status == .next else { return status }
      setRegister(at: op.second, old)
    } else {
      old = register(at: op.first)
      let sum = Add.apply(old, addend, carryIn: 0, self)
      setRegister(at: op.second, old)
      setRegister(at: op.first, sum)
    }
    return .next
  }

  @inline(never)
  func compareExchange(_ op: Micro) -> Status {
    switch op.width {
    case 1: compareExchange(UInt8.self, op)
    case 2: compareExchange(UInt16.self, op)
    case 4: compareExchange(UInt32.self, op)
    default: compareExchange(UInt64.self, op)
    }
  }

  @inline(__always)
  private func compareExchange<T: GuestInteger>(
    _: T.Type, _ op: Micro
  ) -> Status {
    let expected: T = register(at: 0)
    let new: T = register(at: op.second)
    var old: T = 0
    if op.flags.contains(.memory) {
      // The destination is written in any case, with what it held where it did not match.
      let status = modifyMemory(op) { (value: T) in
        old = value
        _ = Compare.apply(expected, value, carryIn: 0, self)
        return value == expected ? new : value
      }
      guard status == .next else { return status }
      if old != expected { setRegister(at: 0, old) }
    } else {
      old = register(at: op.first)
      _ = Compare.apply(expected, old, carryIn: 0, self)
      if old == expected {
        setRegister(at: op.first, new)
      } else {
        setRegister(at: 0, old)
      }
    }
    return .next
  }
}
