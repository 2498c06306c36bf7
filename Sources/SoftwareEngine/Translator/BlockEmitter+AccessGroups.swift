import X86
import X86Decoder

/// A group of which a look-up did not find its stream in one page: its instructions one by one, out of line.
@safe struct PutOffGroup {
  /// The rel32s that lead there: of the streams' look-ups and of their checks of alignment.
  var places: InlineArray<6, UnsafeMutablePointer<UInt8>?> = unsafe .init(repeating: nil)
  /// Where code goes on afterwards; `nil` if nothing follows the group.
  var end: UnsafeMutablePointer<UInt8>?
  var index: Int
  var count: Int
  var source = FlagSource.none
  var flagsInHost = true
  var executed: Int
}

extension BlockEmitter {
  /// Emits a group that starts at the current instruction; returns whether it ends the block.
  mutating func emitGroup(_ group: AccessGroup) -> Bool {
    if group.usesVectors { loadVectors() }
    let start = index
    var putOff = unsafe PutOffGroup(index: start, count: group.count, executed: executed)
    effect = .none
    // The first access is of the first stream.
    for number in (0..<group.streamCount).reversed() {
      let stream = group.streams[number]
      emitAddress(stream)
      let place = unsafe emitRunLookUp(
        size: Int(stream.high - stream.low), isWrite: stream.hasStore)
      unsafe putOff.places[2 * number] = place
      code.address(Host.r14, base: Host.r14, index: Host.rcx, 0)
      if let alignment = stream.alignment {
        unsafe putOff.places[2 * number + 1] =
          emitAlignmentCheck((alignment - stream.low) & 15)
      }
      if group.streamCount > 1 { code.store(Host.r14, .state(StateOffset.stream(number))) }
    }
    (putOff.source, putOff.flagsInHost) = (source, flagsInHost)
    isInGroup = true
    var current = 0
    var shifts = RegisterShifts()
    var hasEnded = false
    for number in start..<start + group.count {
      let i = begin(number)
      let member = groupMember(i, number)
      if member?.stackShift ?? 0 == 0 { flushStack() }
      if let member, let stream = group.stream(member), stream != current {
        code.load(Host.r14, .state(StateOffset.stream(stream)))
        current = stream
      }
      prepareFlags(i)
      if let member, let shift = shifts.shift(member) {
        let displacement = member.displacement + shift - group.streams[current].low
        hasEnded = emitMember(i, .base(Host.r14, Int32(truncatingIfNeeded: displacement)))
      } else if emit(i) == .refused {
        groupsAreRefused = true
      }
      note(i, member, &shifts)
      finishFlags(i)
      executed += 1
    }
    flushStack()
    isInGroup = false
    unsafe putOff.end = hasEnded ? nil : code.cursor
    putOffGroups.append(putOff)
    return hasEnded
  }

  /// The linear address of a stream's lowest byte, in R14.
  private mutating func emitAddress(_ stream: AccessStream) {
    if stream.base == Instruction.ripRegister {
      code.load(Host.r14, .state(StateOffset.codePage))
      return emitAdd(stream.low, isWide: is64Bit)
    }
    let base = fetch(stream.base, into: Host.r14)
    let index = stream.index < 16 ? fetch(stream.index, into: Host.rcx) : 4
    code.address(
      Host.r14, base: base, index: index, scale: stream.scale,
      Int32(truncatingIfNeeded: stream.low), isWide: is64Bit)
  }

  /// With a host address in R14: jumps unless the address that lies `distance` bytes further is a multiple of 16.
  private mutating func emitAlignmentCheck(_ distance: Int64) -> UnsafeMutablePointer<UInt8> {
    if !flagsInHost, distance == 0 {
      code.bytes(0x41, 0xF6, 0xC6, 0x0F, 0x0F, 0x85)  // test r14b, 15; jne
      return unsafe code.displacement(to: nil)
    }
    code.address(Host.rcx, base: Host.r14, Int32(distance))
    if flagsInHost {
      code.extract(Host.rcx, Host.rcx, mask: StateOffset.alignmentMask)
      code.bytes(0xE3, 0x05)  // jrcxz +5
      return unsafe code.jump(nil)
    }
    code.bytes(0xF6, 0xC1, 0x0F, 0x0F, 0x85)  // test cl, 15; jne
    return unsafe code.displacement(to: nil)
  }

  /// Emits an instruction that accesses memory, with its operand at a host address; returns whether it ends the block.
  private mutating func emitMember(_ i: Instruction, _ memory: HostOperand) -> Bool {
    switch i.operation {
    case .push:
      emitStore(i, memory)
      pendingStack -= stackWidth
    case .pop:
      if let host = Host.register(i.operands[0].number) {
        code.legacy(slotOpcode(0x8B), host, memory)
      } else {
        code.legacy(slotOpcode(0x8B), Host.rcx, memory)
        code.store(Host.rcx, .state(StateOffset.register(i.operands[0].number)))
      }
      pendingStack += stackWidth
    case .call:
      emitGroupCall(i, memory)
      return true
    case .ret:
      emitGroupReturn(i, memory)
      return true
    default: emitPlainMember(i, memory)
    }
    return false
  }

  /// PUSH's store.
  private mutating func emitStore(_ i: Instruction, _ memory: HostOperand) {
    let operand = i.operands[0]
    guard operand.kind == .general else {
      code.legacy(slotOpcode(0xC7), 0, memory)
      return code.word32(Int32(truncatingIfNeeded: i.immediate))
    }
    let register = fetch(operand.number, into: Host.rcx)
    code.legacy(slotOpcode(0x89), register, memory)
  }

  /// Brings the guest's RSP up to date.
  private mutating func flushStack() {
    guard pendingStack != 0 else { return }
    moveStack(pendingStack)
    pendingStack = 0
  }

  /// Emits the groups that were put off, instruction by instruction.
  mutating func emitPutOffGroups() {
    for item in putOffGroups {
      for number in unsafe item.places.indices {
        if let place = unsafe item.places[number] { unsafe Assembler.patch(place, code.cursor) }
      }
      emitSingly(
        item.index..<item.index + item.count, executed: item.executed, item.source,
        flagsInHost: item.flagsInHost)
      if let end = unsafe item.end { unsafe code.jump(end) }
    }
  }

  /// Emits instructions of the plan one by one, with look-ups that leave the flags alone.
  ///
  /// They leave the same behind as they did in line, but for flags in the host's.
  mutating func emitSingly(
    _ range: Range<Int>, executed first: Int, _ source: FlagSource, flagsInHost: Bool
  ) {
    self.source = source
    self.flagsInHost = flagsInHost
    recoverFlags()
    keepsFlags = true
    executed = first
    for number in range {
      let i = begin(number)
      prepareFlags(i)
      if emit(i) == .refused {
        let (source, effect) = (self.source, self.effect)
        emitInterpreted(i)
        (self.source, self.effect) = (source, effect)
      }
      finishSlowSite()
      finishFlags(i)
      executed += 1
    }
  }
}
