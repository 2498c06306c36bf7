import X86
import X86Decoder

/// Consecutive instructions that access memory off one unchanged base register: one TLB look-up for all.
///
/// Instructions on registers may stand between, as long as they need no scratch register. The host address stays in
/// R14 throughout; nothing in the group can fault or leave.
struct AccessGroup {
  static let maximumCount = 12
  private static let maximumSpan: Int64 = 1024

  let base: UInt8
  let segment: UInt8
  /// The bytes accessed, by displacement.
  var low: Int64
  var high: Int64
  var hasStore: Bool
  var usesVectors: Bool
  var memberCount = 1
  /// Instructions and bytes up to and including the last member.
  var count = 1
  var byteCount: Int

  init(_ member: GroupMember, length: UInt8) {
    base = member.base
    segment = member.segment
    low = member.displacement
    high = member.displacement + Int64(member.size)
    hasStore = member.isStore
    usesVectors = member.isVector
    byteCount = Int(length)
  }

  /// Takes a member in, which ends `distance` instructions and `bytes` bytes after the group's start.
  mutating func append(_ member: GroupMember, count: Int, byteCount: Int) -> Bool {
    let newLow = min(low, member.displacement)
    let newHigh = max(high, member.displacement + Int64(member.size))
    guard member.base == base, member.segment == segment, newHigh - newLow <= Self.maximumSpan
    else {
      return false
    }
    low = newLow
    high = newHigh
    hasStore = hasStore || member.isStore
    usesVectors = usesVectors || member.isVector
    memberCount += 1
    self.count = count
    self.byteCount = byteCount
    return true
  }
}

/// An instruction that may be in an access group.
struct GroupMember {
  var base: UInt8
  var segment: UInt8
  var displacement: Int64
  var size: Int
  var isStore: Bool
  var isVector: Bool
}

/// A group whose bytes were not all in one page of the TLB: its instructions one by one, out of line.
@safe struct PutOffGroup {
  /// The rel32 that leads there, and where code goes on afterwards.
  var place: UnsafeMutablePointer<UInt8>
  var end: UnsafeMutablePointer<UInt8>
  var offset: Int
  var count: Int
  var executed: Int
}

extension BlockEmitter {
  /// What an instruction is to a group; `nil` if it cannot be in one.
  func groupMember(_ i: Instruction) -> GroupMember? {
    guard i.hasMemoryOperand, i.hasModRM, i.base < 16, i.index >= 16,
      i.addressSize == (is64Bit ? 8 : 4), !i.prefixes.contains(.lock),
      cpu.env.features.contains(i.feature),
      // FS and GS have bases; CS is not for data.
      i.segment == 0 || i.segment == 2 || i.segment == 3 || is64Bit && i.segment < 4
    else { return nil }
    var isVector = false
    switch i.operation {
    case .mov, .movzx, .movsx, .movsxd, .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .inc,
      .dec, .neg, .not, .imul, .cmovcc, .setcc:
      guard !isWideMultiplication(i), isPlainAccess(i) else { return nil }
    default:
      guard isPlainVectorAccess(i) else { return nil }
      isVector = true
    }
    for position in 0..<4 where i.operands[position].kind == .memory {
      let operand = i.operands[position]
      let isStore = operand.access.writes
      guard operand.byteCount > 0, !isStore || cpu.env.storesSkipCode else { return nil }
      return GroupMember(
        base: i.base, segment: is64Bit ? 3 : i.segment, displacement: i.displacement,
        size: Int(operand.byteCount), isStore: isStore, isVector: isVector)
    }
    return nil
  }

  /// Whether an instruction on registers can stand between members: it needs no scratch register.
  func isGroupFiller(_ i: Instruction) -> Bool {
    guard !i.hasMemoryOperand, !i.prefixes.contains(.lock), cpu.env.features.contains(i.feature)
    else { return false }
    switch i.operation {
    case .mov, .movzx, .movsx, .movsxd, .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .inc,
      .dec, .neg, .not, .imul, .cmovcc, .setcc, .rol, .ror, .shl, .shr, .sar:
      if isWideMultiplication(i) || i.opcode == 0xD2 || i.opcode == 0xD3 { return false }
      // INC and DEC of one byte and the accumulator forms are others' business.
      if !i.hasModRM, i.map != .primary || !(0xB8...0xBF).contains(i.opcode) { return false }
    default: return isVectorFiller(i)
    }
    for position in 0..<4 {
      let operand = i.operands[position]
      switch operand.kind {
      case .none, .immediate, .one: continue
      case .general:
        guard operand.number < 12, operand.byteCount > 1 || operand.number < 4 else { return false }
      default: return false
      }
    }
    return true
  }

  /// MUL and IMUL with one operand write RAX and RDX, which no operand says.
  private func isWideMultiplication(_ i: Instruction) -> Bool {
    i.operation == .imul && i.map == .primary && (i.opcode == 0xF6 || i.opcode == 0xF7)
  }

  /// Whether an instruction writes a register.
  func writes(_ i: Instruction, _ register: UInt8) -> Bool {
    for position in 0..<4 {
      let operand = i.operands[position]
      if operand.kind == .general, operand.access.writes {
        let number = operand.number >= 16 ? operand.number - 16 : operand.number
        if number == register { return true }
      }
    }
    return false
  }

  /// Emits a group that starts at the current instruction. `decode` yields the instruction at an offset.
  mutating func emitGroup(_ group: AccessGroup, _ decode: (Int) -> Instruction) {
    if group.usesVectors { loadVectors() }
    let start = offset
    let first = executed
    let base = fetch(group.base, into: Host.r14)
    code.address(Host.r14, base: base, Int32(truncatingIfNeeded: group.low), isWide: is64Bit)
    let place = unsafe emitRunLookUp(size: Int(group.high - group.low), isWrite: group.hasStore)
    code.address(Host.r14, base: Host.r14, index: Host.rcx, 0)
    for _ in 0..<group.count {
      let i = decode(offset)
      nextOffset = offset + Int(i.length)
      if i.hasMemoryOperand {
        let memory = HostOperand.base(
          Host.r14, Int32(truncatingIfNeeded: i.displacement - group.low))
        emitMember(i, memory)
      } else {
        _ = emit(i)
      }
      offset = nextOffset
      executed += 1
    }
    putOffGroups.append(
      unsafe PutOffGroup(
        place: place, end: code.cursor, offset: start, count: group.count, executed: first))
  }

  /// Emits the groups that were put off, instruction by instruction.
  mutating func emitPutOffGroups(_ decode: (Int) -> Instruction) {
    for item in putOffGroups {
      unsafe Assembler.patch(item.place, code.cursor)
      offset = item.offset
      executed = item.executed
      for _ in 0..<item.count {
        let i = decode(offset)
        nextOffset = offset + Int(i.length)
        slowSite = ~0
        if emit(i) == .refused { emitInterpreted(i) }
        finishSlowSite()
        offset = nextOffset
        executed += 1
      }
      unsafe code.jump(item.end)
    }
  }
}
