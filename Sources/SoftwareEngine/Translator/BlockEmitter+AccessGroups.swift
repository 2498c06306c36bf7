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
  /// Instructions up to and including the last member.
  var count = 1

  init(_ member: GroupMember) {
    base = member.base
    segment = member.segment
    low = member.displacement
    high = member.displacement + Int64(member.size)
    hasStore = member.isStore
    usesVectors = member.isVector
  }

  /// Takes a member in, which is the `count`th instruction from the group's start.
  mutating func append(_ member: GroupMember, count: Int) -> Bool {
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
  var index: Int
  var count: Int
  var source: FlagSource
  var flagsInHost: Bool
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

  /// Emits a group that starts at the current instruction.
  mutating func emitGroup(_ group: AccessGroup) {
    if group.usesVectors { loadVectors() }
    let start = index
    let first = executed
    effect = .none
    let base = fetch(group.base, into: Host.r14)
    code.address(Host.r14, base: base, Int32(truncatingIfNeeded: group.low), isWide: is64Bit)
    let place = unsafe emitRunLookUp(size: Int(group.high - group.low), isWrite: group.hasStore)
    let (source, flagsInHost) = (source, flagsInHost)
    code.address(Host.r14, base: Host.r14, index: Host.rcx, 0)
    isInGroup = true
    for number in start..<start + group.count {
      let i = begin(number)
      prepareFlags(i)
      if i.hasMemoryOperand {
        let memory = HostOperand.base(
          Host.r14, Int32(truncatingIfNeeded: i.displacement - group.low))
        emitMember(i, memory)
      } else {
        _ = emit(i)
      }
      finishFlags(i)
      executed += 1
    }
    isInGroup = false
    putOffGroups.append(
      unsafe PutOffGroup(
        place: place, end: code.cursor, index: start, count: group.count, source: source,
        flagsInHost: flagsInHost, executed: first))
  }

  /// Emits the groups that were put off, instruction by instruction.
  mutating func emitPutOffGroups() {
    for item in putOffGroups {
      unsafe Assembler.patch(item.place, code.cursor)
      emitSingly(
        item.index..<item.index + item.count, executed: item.executed, item.source,
        flagsInHost: item.flagsInHost)
      unsafe code.jump(item.end)
    }
  }

  /// The access group that the current instruction begins, if there is one, in a plan of `total` instructions.
  func accessGroup(_ total: Int) -> AccessGroup? {
    // SAFETY: the plan has `total` instructions.
    let plan = unsafe translator.plan
    let first = unsafe plan[index].instruction
    guard let member = groupMember(first), !writes(first, member.base) else { return nil }
    var group = AccessGroup(member)
    var count = 1
    while count < AccessGroup.maximumCount, index + count < total {
      let next = unsafe plan[index + count].instruction
      count += 1
      let isLast = writes(next, group.base)
      if let member = groupMember(next) {
        guard group.append(member, count: count) else { break }
      } else {
        guard isGroupFiller(next) else { break }
        // They are loaded before the look-up, for both ways on.
        if isVectorFiller(next) { group.usesVectors = true }
      }
      if isLast { break }
    }
    return group.memberCount > 1 ? group : nil
  }
}
