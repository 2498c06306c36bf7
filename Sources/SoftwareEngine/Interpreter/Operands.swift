/// Operand access for handlers.
extension CPU {
  @inline(__always)
  func effectiveAddress(_ op: Micro) -> UInt64 {
    let base: UInt64 = register(at: op.base)
    let index: UInt64 = register(at: op.index)
    return (base &+ (index &<< UInt64(op.scale)) &+ op.displacement) & op.addressMask
  }

  @inline(__always)
  func readMemory<T: GuestInteger>(_ op: Micro, _: T.Type = T.self) -> T? {
    read(op.segment, effectiveAddress(op))
  }

  @inline(__always)
  func writeMemory<T: GuestInteger>(_ op: Micro, _ value: T) -> Bool {
    write(op.segment, effectiveAddress(op), value)
  }

  /// Runs `body` on the memory operand (atomically with LOCK).
  @inline(__always)
  func modifyMemory<T: GuestInteger>(
    _ op: Micro, _ body: (T) -> T
  ) -> Status {
    let isLocked = op.flags.contains(.lock)
    return modify(op.segment, effectiveAddress(op), isLocked: isLocked, body) ? .next : .stop
  }

  /// Runs `body` on the register or memory operand.
  @inline(__always)
  func modifyOperand<T: GuestInteger>(
    _ op: Micro, _ body: (T) -> T
  ) -> Status {
    if op.flags.contains(.memory) { return modifyMemory(op, body) }
    setRegister(at: op.first, body(register(at: op.first)))
    return .next
  }

  /// The value of the register-or-memory operand, whose register is `second`.
  @inline(__always)
  func readOperand<T: GuestInteger>(_ op: Micro, _: T.Type = T.self) -> T? {
    op.flags.contains(.memory) ? readMemory(op) : register(at: op.second)
  }
}
