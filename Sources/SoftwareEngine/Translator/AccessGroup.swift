import X86
import X86Decoder

/// Consecutive instructions that access memory off one base register: one TLB look-up for all of them.
///
/// PUSH and POP belong to the stack pointer's group, as do a CALL or RET at its end. Constants may be added to the base on
/// the way, instructions on registers may stand between, and conditional branches may leave. The host address stays in R14
/// throughout; nothing in the group can fault.
struct AccessGroup {
  static let maximumCount = 32
  private static let maximumSpan: Int64 = 1024

  let base: UInt8
  let index: UInt8
  let scale: UInt8
  /// The bytes accessed, counted from base and index as they are at the start.
  var low = Int64.max
  var high = Int64.min
  /// What has been added to base and index.
  var shift: Int64 = 0
  var hasStore = false
  var usesVectors = false
  /// Where operands of 16 aligned bytes lie, modulo 16.
  var alignment: Int64?
  var memberCount = 0
  /// Instructions up to and including the last member.
  var count = 0

  /// The linear range of an access counted from the group's start.
  mutating func widen(_ displacement: Int64, _ size: Int) -> Bool {
    let start = displacement &+ shift
    let newLow = min(low, start)
    let newHigh = max(high, start &+ Int64(size))
    guard newHigh &- newLow <= Self.maximumSpan, abs(newLow) < 1 << 30 else { return false }
    low = newLow
    high = newHigh
    return true
  }
}

/// An instruction that accesses memory in a group.
struct GroupMember {
  var base: UInt8
  var index: UInt8 = 16
  var scale: UInt8 = 0
  var displacement: Int64
  var size: Int
  var isStore: Bool
  var isVector = false
  var isAligned = false
  /// What it adds to RSP.
  var stackShift: Int64 = 0
  /// A call or return: nothing follows it.
  var isLast = false
}

extension BlockEmitter {
  // MARK: Finding a group

  /// The access group that the current instruction begins, if there is one, in a plan of `total` instructions.
  func accessGroup(_ total: Int) -> AccessGroup? {
    // SAFETY: the plan has `total` instructions.
    let plan = unsafe translator.plan
    guard let first = unsafe groupMember(plan[index].instruction, index) else { return nil }
    var group = AccessGroup(base: first.base, index: first.index, scale: first.scale)
    var position = index
    var hasBranched = false
    var usesVectors = false
    while position < total, position - index < AccessGroup.maximumCount {
      let i = unsafe plan[position].instruction
      var isLast = false
      if let member = groupMember(i, position) {
        guard member.base == group.base, member.index == group.index, member.scale == group.scale,
          // A page that is only read would be opened for a store that may not come.
          !member.isStore || group.hasStore || !hasBranched
        else { break }
        if member.isAligned {
          let low = (member.displacement &+ group.shift) & 15
          if let alignment = group.alignment, alignment != low { break }
          guard group.widen(member.displacement, member.size) else { break }
          group.alignment = low
        } else {
          guard group.widen(member.displacement, member.size) else { break }
        }
        group.hasStore = group.hasStore || member.isStore
        usesVectors = usesVectors || member.isVector
        // They are loaded before the look-up, for both ways on.
        group.usesVectors = usesVectors
        group.shift &+= member.stackShift
        group.memberCount += 1
        group.count = position - index + 1
        isLast = member.isLast || writes(i, group.base) || writes(i, group.index)
      } else if let constant = addedConstant(i, group) {
        group.shift &+= constant
        guard abs(group.shift) < 4096 else { break }
      } else {
        guard isGroupFiller(i), !writes(i, group.base), !writes(i, group.index) else { break }
        if isVectorFiller(i) { usesVectors = true }
        if i.operation == .jcc { hasBranched = true }
      }
      if isLast { break }
      position += 1
    }
    return group.memberCount > 1 ? group : nil
  }

  /// What an instruction of the plan is to a group; `nil` if it accesses no memory or cannot be in one.
  func groupMember(_ i: Instruction, _ number: Int) -> GroupMember? {
    let width = stackWidth
    switch i.operation {
    case .push:
      guard Int(i.operandSize) == width, i.operands[0].number != 4,
        i.operands[0].kind == .general || i.operands[0].kind == .immediate
      else { return nil }
      return GroupMember(
        base: 4, displacement: Int64(-width), size: width, isStore: true, stackShift: Int64(-width))
    case .pop:
      guard Int(i.operandSize) == width, i.operands[0].kind == .general, i.operands[0].number != 4
      else { return nil }
      return GroupMember(
        base: 4, displacement: 0, size: width, isStore: false, stackShift: Int64(width))
    case .call:
      guard Int(i.operandSize) == width, i.operands[0].kind == .relative,
        hasNearTarget(i, number)
      else { return nil }
      return GroupMember(
        base: 4, displacement: Int64(-width), size: width, isStore: true, isLast: true)
    case .ret:
      guard Int(i.operandSize) == width else { return nil }
      return GroupMember(base: 4, displacement: 0, size: width, isStore: false, isLast: true)
    default: return accessMember(i, number)
    }
  }

  private func accessMember(_ i: Instruction, _ number: Int) -> GroupMember? {
    guard i.hasMemoryOperand, i.hasModRM, i.base < 16 || i.base == Instruction.ripRegister,
      i.addressSize == (is64Bit ? 8 : 4), !i.prefixes.contains(.lock),
      cpu.env.features.contains(i.feature),
      // FS and GS have bases; CS is not for data.
      i.segment == 0 || i.segment == 2 || i.segment == 3 || is64Bit && i.segment < 4
    else { return nil }
    var isVector = false
    var isAligned = false
    switch i.operation {
    case .mov, .movzx, .movsx, .movsxd, .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .inc,
      .dec, .neg, .not, .imul, .cmovcc, .setcc:
      guard !isWideMultiplication(i), isPlainAccess(i) else { return nil }
    default:
      guard isPlainVectorAccess(i) else { return nil }
      isVector = true
      isAligned = mustBeAligned(i)
    }
    for position in 0..<4 where i.operands[position].kind == .memory {
      let operand = i.operands[position]
      let isStore = operand.access.writes
      guard operand.byteCount > 0 else { return nil }
      var displacement = i.displacement
      if i.base == Instruction.ripRegister {
        // From the code page.
        let planned = unsafe translator.plan + number
        displacement &+= unsafe Int64(planned.pointee.offset) + Int64(i.length)
      }
      return GroupMember(
        base: i.base, index: i.index, scale: i.index < 16 ? i.scale : 0, displacement: displacement,
        size: Int(operand.byteCount), isStore: isStore, isVector: isVector, isAligned: isAligned)
    }
    return nil
  }

  /// The constant that an instruction on registers adds to what a group counts from; `nil` if it does anything else.
  func addedConstant(_ i: Instruction, _ group: AccessGroup) -> Int64? {
    let target = i.operands[0]
    guard target.kind == .general, Int(target.byteCount) == stackWidth, target.number < 16,
      target.number == group.base || target.number == group.index,
      group.base < 16, isGroupFiller(i)
    else { return nil }
    var constant: Int64
    switch i.operation {
    case .add where i.operands[1].kind == .immediate: constant = i.immediate
    case .sub where i.operands[1].kind == .immediate: constant = 0 &- i.immediate
    case .inc: constant = 1
    case .dec: constant = -1
    case .lea where i.base == target.number && i.index >= 16:
      guard Int(i.addressSize) == stackWidth else { return nil }
      constant = i.displacement
    default: return nil
    }
    guard abs(constant) < 4096 else { return nil }
    if target.number == group.index { constant <<= Int64(group.scale) }
    // Both at once.
    if group.base == group.index { return nil }
    return constant
  }

  /// Whether an instruction on registers can stand between members: it needs no scratch register but RCX, and
  /// cannot leave but by an edge.
  func isGroupFiller(_ i: Instruction) -> Bool {
    guard !i.prefixes.contains(.lock), cpu.env.features.contains(i.feature) else { return false }
    switch i.operation {
    case .nop, .endbr: return true
    case .prefetch, .prefetchw: return true
    case .jcc: return Int(i.operandSize) == stackWidth && abs(i.immediate) < 1 << 31 - 8192
    case .lea: return isPlainLoadAddress(i)
    default: break
    }
    guard !i.hasMemoryOperand else { return false }
    switch i.operation {
    case .cbw, .cwd: return true
    case .mov, .movzx, .movsx, .movsxd, .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .inc,
      .dec, .neg, .not, .imul, .cmovcc, .setcc, .rol, .ror, .shl, .shr, .sar:
      if isWideMultiplication(i) { return false }
      guard i.map != .primary || i.opcode != 0x8C && i.opcode != 0x8E else { return false }
      // What has no ModRM byte: accumulators, MOV with an immediate, INC and DEC of one byte.
      if !i.hasModRM, i.opcode >= 0xB0, i.opcode < 0xB8 || i.operandSize == 2 { return false }
      if i.map == .primary, i.opcode == 0x82 { return false }
    default: return isVectorFiller(i)
    }
    let usesCL = i.map == .primary && (i.opcode == 0xD2 || i.opcode == 0xD3)
    var inMemory = 0
    for position in 0..<4 {
      let operand = i.operands[position]
      switch operand.kind {
      case .none, .immediate, .one: continue
      case .general:
        if usesCL, position > 0 { continue }
        guard operand.number < 16, operand.byteCount > 1 || operand.number < 4 else { return false }
        if Host.register(operand.number) == nil { inMemory += 1 }
      default: return false
      }
    }
    return inMemory == 0 || inMemory == 1 && !usesCL
  }

  /// MUL and IMUL with one operand write RAX and RDX, which no operand says.
  private func isWideMultiplication(_ i: Instruction) -> Bool {
    i.operation == .imul && i.map == .primary && (i.opcode == 0xF6 || i.opcode == 0xF7)
  }

  /// Whether an instruction writes a register.
  func writes(_ i: Instruction, _ register: UInt8) -> Bool {
    if register >= 16 { return false }
    if i.operation == .cbw, register == 0 { return true }
    if i.operation == .cwd, register == 2 { return true }
    for position in 0..<4 {
      let operand = i.operands[position]
      if operand.kind == .general, operand.access.writes {
        let number = operand.number >= 16 ? operand.number - 16 : operand.number
        if number == register { return true }
      }
    }
    return false
  }
}
