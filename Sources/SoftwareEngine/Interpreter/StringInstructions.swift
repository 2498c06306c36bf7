import X86

/// MOVS, CMPS, STOS, LODS, SCAS, INS and OUTS, alone and repeated.
///
/// A repeated instruction commits its registers after every element, so that a fault, an exit or an
/// interrupt finds it between two elements, as the manual promises.
extension CPU {
  @inline(never)
  func string(_ op: Micro) -> Status {
    switch op.width {
    case 1: string(UInt8.self, op)
    case 2: string(UInt16.self, op)
    case 4: string(UInt32.self, op)
    default: string(UInt64.self, op)
    }
  }

  /// One element; `nil` when it must stop, else whether a repetition goes on.
  @inline(__always)
  private func element<T: GuestInteger>(_: T.Type, _ op: Micro) -> Bool? {
    let width = addressWidth(op)
    let source = self[.rsi] & op.addressMask
    let destination = self[.rdi] & op.addressMask
    let size = UInt64(MemoryLayout<T>.size)
    let step = state.otherFlags & Flags.direction.rawValue != 0 ? 0 &- size : size
    switch op.handler {
    case .movs:
      guard let value: T = read(op.segment, source), write(0, destination, value) else {
        return nil
      }
      setRegister(.rsi, width: width, source &+ step)
      setRegister(.rdi, width: width, destination &+ step)
    case .stos:
      guard write(0, destination, register(at: 0, T.self)) else { return nil }
      setRegister(.rdi, width: width, destination &+ step)
    case .lods:
      guard let value: T = read(op.segment, source) else { return nil }
      setRegister(at: 0, value)
      setRegister(.rsi, width: width, source &+ step)
    case .cmps:
      guard let a: T = read(op.segment, source), let b: T = read(0, destination) else {
        return nil
      }
      _ = Compare.apply(a, b, carryIn: 0, self)
      setRegister(.rsi, width: width, source &+ step)
      setRegister(.rdi, width: width, destination &+ step)
      return op.flags.contains(.repeatEqual) == isZero
    case .scas:
      guard let b: T = read(0, destination) else { return nil }
      _ = Compare.apply(register(at: 0, T.self), b, carryIn: 0, self)
      setRegister(.rdi, width: width, destination &+ step)
      return op.flags.contains(.repeatEqual) == isZero
    case .ins:
      guard permitsPort(register(at: 2 * 8, UInt16.self), op.width) else { return nil }
      // The destination must be writable before the port is read, which has effects.
      guard let linear = linearAddress(0, destination, size, .write),
        probeWrite(linear, size, dataRight),
        let value = readPort(register(at: 2 * 8, UInt16.self), op.width),
        write(0, destination, T(truncatingIfNeeded: value))
      else { return nil }
      setRegister(.rdi, width: width, destination &+ step)
    default:
      guard permitsPort(register(at: 2 * 8, UInt16.self), op.width),
        let value: T = read(op.segment, source),
        writePort(register(at: 2 * 8, UInt16.self), op.width, UInt64(truncatingIfNeeded: value))
      else { return nil }
      setRegister(.rsi, width: width, source &+ step)
    }
    return true
  }

  @inline(__always)
  private func string<T: GuestInteger>(_: T.Type, _ op: Micro) -> Status {
    guard !op.flags.isDisjoint(with: [.repeatEqual, .repeatNotEqual]) else {
      return element(T.self, op) == nil ? .stop : .next
    }
    let width = addressWidth(op)
    var isFirst = true
    while true {
      let count = self[.rcx] & op.addressMask
      guard count != 0 else {
        // A 32-bit count that is 0 clears no upper half; hardware writes nothing.
        return .next
      }
      // Between two elements interrupts and kicks are served: the instruction starts again.
      if !isFirst, attention != 0 {
        state.stop = .restart
        return .stop
      }
      isFirst = false
      if op.handler == .movs || op.handler == .stos {
        let done = bulk(T.self, op, count)
        if done > 0 {
          setRegister(.rcx, width: width, count &- done)
          continue
        }
      }
      guard let goesOn = element(T.self, op) else { return .stop }
      if state.replay.valueCount != 0 || state.replay.writeCount != 0 { endReplay() }
      setRegister(.rcx, width: width, count &- 1)
      if !goesOn { return .next }
    }
  }

  /// Moves or fills as many elements as lie in one page of RAM on both sides, going up.
  /// Returns how many; 0 leaves it to the element-wise path.
  @inline(__always)
  private func bulk<T: GuestInteger>(
    _: T.Type, _ op: Micro, _ count: UInt64
  ) -> UInt64 {
    guard count >= 4, state.otherFlags & Flags.direction.rawValue == 0 else { return 0 }
    let size = UInt64(MemoryLayout<T>.size)
    let destination = self[.rdi] & op.addressMask
    let room = 4096 &- (destination &+ state.linearBase[0]) & 4095
    var elements = min(count, room / size)
    let isMove = op.handler == .movs
    let source = self[.rsi] & op.addressMask
    if isMove {
      let sourceRoom = 4096 &- (source &+ state.linearBase[Int(op.segment)]) & 4095
      elements = min(elements, sourceRoom / size)
    }
    guard elements >= 4 else { return 0 }
    let bytes = elements &* size
    guard destination &+ bytes &- 1 <= op.addressMask, source &+ bytes &- 1 <= op.addressMask,
      let to = unsafe fastHost(0, destination, bytes, isWrite: true)
    else { return 0 }
    // SAFETY: `fastHost` vouches for `bytes` of RAM in one page on either side.
    if isMove {
      guard let from = unsafe fastHost(op.segment, source, bytes, isWrite: false) else { return 0 }
      // Overlap upwards copies element by element, which repeats a pattern.
      if unsafe to.host > from.host && to.host < from.host + Int(bytes) {
        var position = 0
        while position < Int(bytes) {
          unsafe to.host.storeBytes(
            of: from.host.loadUnaligned(fromByteOffset: position, as: T.self),
            toByteOffset: position, as: T.self)
          position &+= Int(size)
        }
      } else {
        unsafe to.host.copyMemory(from: from.host, byteCount: Int(bytes))
      }
      setRegister(.rsi, width: addressWidth(op), source &+ bytes)
    } else {
      let value: T = register(at: 0)
      var position = 0
      while position < Int(bytes) {
        unsafe to.host.storeBytes(of: value, toByteOffset: position, as: T.self)
        position &+= Int(size)
      }
    }
    unsafe noteStore(to.ramPage, to.linear, bytes)
    setRegister(.rdi, width: addressWidth(op), destination &+ bytes)
    return elements
  }

  /// The host address of a run of bytes in one page that the TLB already knows.
  @inline(__always)
  func fastHost(
    _ segment: UInt8, _ offset: UInt64, _ bytes: UInt64, isWrite: Bool
  ) -> (host: UnsafeMutableRawPointer, linear: UInt64, ramPage: UInt32)? {
    let end = isWrite ? state.writeEnd[Int(segment)] : state.readEnd[Int(segment)]
    guard offset &+ bytes <= end || end == .max else { return nil }
    let linear = (state.linearBase[Int(segment)] &+ offset) & state.linearMask
    guard (linear & 4095) + bytes <= 4096 else { return nil }
    // SAFETY: the index is below the set size; the tag vouches for the page.
    let entry = unsafe TLBEntry(state.dataTLB, linear)
    let tag = isWrite ? entry.writeTag : entry.readTag
    guard linear &+ tag < 4096,
      let host = unsafe UnsafeMutableRawPointer(bitPattern: UInt(linear &+ entry.addend))
    else { return nil }
    return unsafe (host, linear, entry.ramPage)
  }
}
