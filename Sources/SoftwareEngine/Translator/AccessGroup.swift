import X86
import X86Decoder

/// Consecutive instructions that access memory off a few base registers: one TLB look-up for each of these.
///
/// PUSH and POP belong to the stack pointer's stream, as do a CALL or RET at its end. Constants may be added to the registers
/// on the way, instructions on registers may stand between, and conditional branches may leave. All look-ups come first;
/// nothing in the group can fault. The host address of what is accessed stays in R14, and with several streams in
/// `TranslationState.streams`.
struct AccessGroup {
  static let maximumCount = 64
  static let mostStreams = 3

  private(set) var streams: InlineArray<3, AccessStream>
  private(set) var streamCount = 1
  var usesVectors = false
  private(set) var memberCount = 0
  /// How often the next access is of another stream than the last, and one more.
  private(set) var runCount = 0
  private var last = -1
  /// Instructions up to and including the last member.
  var count = 0

  init(_ first: GroupMember) { streams = .init(repeating: AccessStream(first)) }

  /// Which stream an access belongs to.
  func stream(_ member: GroupMember) -> Int? {
    for number in 0..<streamCount where streams[number].holds(member) { return number }
    return nil
  }

  /// Takes an access in, unless it is too far from the others of its stream.
  ///
  /// - Parameter shift: what has been added to its base and index since the group's start.
  mutating func take(_ member: GroupMember, shift: Int64, hasBranched: Bool) -> Bool {
    var number = stream(member)
    if number == nil {
      // Behind a branch there may be a pointer to nothing.
      guard streamCount < Self.mostStreams, !hasBranched else { return false }
      streams[streamCount] = AccessStream(member)
      number = streamCount
      streamCount += 1
    }
    guard let number,
      streams[number].widen(member, shift: shift, hasBranched: hasBranched)
    else { return false }
    memberCount += 1
    if number != last { runCount += 1 }
    last = number
    return true
  }

  /// Roughly how many micro-operations it saves over a look-up for each run of accesses to a stream.
  var benefit: Int {
    streamCount == 1 ? 0 : 5 * (runCount - streamCount) - streamCount - (runCount - 1) - 4
  }
}

/// The accesses of a group off one base and index.
struct AccessStream {
  private static let maximumSpan: Int64 = 1024

  let base: UInt8
  let index: UInt8
  let scale: UInt8
  /// The bytes accessed, counted from base and index as they are at the group's start.
  private(set) var low = Int64.max
  private(set) var high = Int64.min
  private(set) var hasStore = false
  /// Where operands of 16 aligned bytes lie, modulo 16.
  private(set) var alignment: Int64?

  init(_ member: GroupMember) {
    base = member.base
    index = member.index
    scale = member.scale
  }

  func holds(_ member: GroupMember) -> Bool {
    member.base == base && member.index == index && member.scale == scale
  }

  fileprivate mutating func widen(_ member: GroupMember, shift: Int64, hasBranched: Bool) -> Bool {
    // A page that is only read would be opened for a store that may not come.
    guard !member.isStore || hasStore || !hasBranched else { return false }
    let start = member.displacement &+ shift
    if member.isAligned {
      if let alignment, alignment != start & 15 { return false }
      alignment = start & 15
    }
    let newLow = min(low, start)
    let newHigh = max(high, start &+ Int64(member.size))
    guard newHigh &- newLow <= Self.maximumSpan, abs(newLow) < 1 << 30 else { return false }
    low = newLow
    high = newHigh
    hasStore = hasStore || member.isStore
    return true
  }
}

/// What became of the general registers since a group's start.
struct RegisterShifts {
  /// The constants added to each.
  private var constants = InlineArray<16, Int64>(repeating: 0)
  /// Those of which nothing is known.
  private var unknown: UInt32 = 0

  /// What was added to an access's base and index; `nil` if that is not known.
  func shift(_ member: GroupMember) -> Int64? {
    var sum: Int64 = 0
    if member.base < 16 {
      if unknown >> UInt32(member.base) & 1 != 0 { return nil }
      sum = constants[Int(member.base)]
    }
    if member.index < 16 {
      if unknown >> UInt32(member.index) & 1 != 0 { return nil }
      sum &+= constants[Int(member.index)] << Int64(member.scale)
    }
    return sum
  }

  mutating func add(_ constant: Int64, to register: UInt8) {
    constants[Int(register)] &+= constant
    if abs(constants[Int(register)]) >= 4096 { unknown |= 1 << UInt32(register) }
  }

  mutating func forget(_ registers: UInt32) { unknown |= registers }
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
    var group = AccessGroup(first)
    var best = group
    var shifts = RegisterShifts()
    var position = index
    var hasBranched = false
    var usesVectors = false
    while position < total, position - index < AccessGroup.maximumCount {
      let i = unsafe plan[position].instruction
      if let member = position == index ? first : groupMember(i, position) {
        guard let shift = shifts.shift(member),
          group.take(member, shift: shift, hasBranched: hasBranched)
        else { break }
        usesVectors = usesVectors || member.isVector
        // They are loaded before the look-ups, for both ways on.
        group.usesVectors = usesVectors
        group.count = position - index + 1
        if group.benefit >= best.benefit { best = group }
        if member.isLast { break }
        note(i, member, &shifts)
      } else {
        guard isGroupFiller(i) else { break }
        if isVectorFiller(i) { usesVectors = true }
        if i.operation == .jcc { hasBranched = true }
        note(i, nil, &shifts)
      }
      position += 1
    }
    return best.memberCount > 1 ? best : nil
  }

  /// Notes what an instruction in a group does to the registers.
  func note(_ i: Instruction, _ member: GroupMember?, _ shifts: inout RegisterShifts) {
    if let member {
      if member.stackShift != 0 { shifts.add(member.stackShift, to: 4) }
    } else if let constant = addedConstant(i) {
      return shifts.add(constant, to: i.operands[0].number)
    }
    shifts.forget(writtenRegisters(i))
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

  /// The constant that an instruction on registers adds to its first operand; `nil` if it does anything else.
  private func addedConstant(_ i: Instruction) -> Int64? {
    let target = i.operands[0]
    guard target.kind == .general, Int(target.byteCount) == stackWidth, target.number < 16 else {
      return nil
    }
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
    return abs(constant) < 4096 ? constant : nil
  }

  /// Whether an instruction on registers can stand between members: it needs no scratch register but RCX, and
  /// cannot leave but by an edge.
  func isGroupFiller(_ i: Instruction) -> Bool {
    guard !i.prefixes.contains(.lock), cpu.env.features.contains(i.feature) else { return false }
    // With 16-bit addressing even a NOP is refused.
    if i.hasMemoryOperand, i.addressSize == 2 { return false }
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
    register < 16 && writtenRegisters(i) >> UInt32(register) & 1 != 0
  }

  /// The general registers that an instruction writes, as its operands say; bit 0 is RAX.
  private func writtenRegisters(_ i: Instruction) -> UInt32 {
    var registers: UInt32 = i.operation == .cbw ? 1 : (i.operation == .cwd ? 4 : 0)
    for position in 0..<4 {
      let operand = i.operands[position]
      if operand.kind == .general, operand.access.writes {
        registers |= 1 << UInt32(operand.number & 15)
      }
    }
    return registers
  }
}
