import X86

/// IN and OUT, and the I/O permission bitmap (SDM 1 19.5).
extension CPU {
  func inputFromPort(_ op: Micro) -> Status {
    let port = op.detail != 0 ? UInt16(op.immediate) : register(at: 2 * 8, UInt16.self)
    guard permitsPort(port, op.width), let value = readPort(port, op.width) else { return .stop }
    setRegister(.rax, width: op.width, value)
    return .next
  }

  func outputToPort(_ op: Micro) -> Status {
    let port = op.detail != 0 ? UInt16(op.immediate) : register(at: 2 * 8, UInt16.self)
    guard permitsPort(port, op.width),
      writePort(port, op.width, register(.rax, width: op.width))
    else { return .stop }
    return .next
  }

  /// The port's value from the replay log; `nil` records an exit.
  func readPort(_ port: UInt16, _ width: UInt8) -> UInt64? {
    if let value = nextReplayValue() { return value & CPU.mask(width) }
    leave(.portRead, width: width, address: UInt64(port))
    return nil
  }

  func writePort(_ port: UInt16, _ width: UInt8, _ value: UInt64) -> Bool {
    if skipReplayedWrite() { return true }
    leave(.portWrite, width: width, address: UInt64(port), value: value & CPU.mask(width))
    return false
  }

  /// Checks IOPL and the bitmap; #GP(0) is recorded.
  func permitsPort(_ port: UInt16, _ width: UInt8) -> Bool {
    guard state.mode.isProtected else { return true }
    let ioPrivilege = UInt8(truncatingIfNeeded: (state.otherFlags >> 12) & 3)
    guard state.mode.isVirtual8086 || state.privilegeLevel > ioPrivilege else { return true }
    let task = state.taskRegister
    guard task.attributes & 8 != 0, task.attributes & 1 << 16 == 0, task.limit >= 0x67 else {
      raise(.generalProtection, 0)
      return false
    }
    guard let base = readSystem(task.base &+ 0x66, 2) else { return false }
    let byte = base + UInt64(port >> 3)
    guard byte + 1 <= UInt64(task.limit) else {
      raise(.generalProtection, 0)
      return false
    }
    guard let bits = readSystem(task.base &+ byte, 2) else { return false }
    let mask = ((UInt64(1) << UInt64(width)) - 1) << UInt64(port & 7)
    guard bits & mask == 0 else {
      raise(.generalProtection, 0)
      return false
    }
    return true
  }
}
