import X86Decoder

/// One instruction of a block to be translated, and what follows it.
struct PlannedInstruction {
  var instruction: Instruction
  /// Where it starts in its page.
  var offset: UInt16
  /// How many TLB look-ups there are, about, from it on until all flags are written.
  var lookUps: UInt8 = 0
  /// Whether, from it on, flags are read or the block is left before all are written.
  var flagsAreLive = true
  /// Whether code for it copied what it overwrote of the flags' source.
  var copiesSource = false
}

extension CPU {
  /// Decodes the block at an offset of the page being executed into `translator.plan`; returns how many
  /// instructions it has.
  func plan(_ translator: Translator, start: Int) -> Int {
    let plan = unsafe translator.plan
    let decoder = Decoder(mode: state.mode.codeMode)
    // SAFETY: `codeHost` is a page of RAM.
    let bytes = unsafe state.codeHost.unsafelyUnwrapped
    let ramOffset = state.codeRAMPage << 12
    var position = start
    var count = 0
    var registeredEnd = start
    while count < env.maximumBlockLength, position < 4096 {
      registerCode(ramOffset, from: position, end: &registeredEnd)
      let span = unsafe Span(_unsafeStart: bytes + position, count: min(4096 - position, 15))
      unsafe (plan + count).initialize(
        to: PlannedInstruction(instruction: .empty, offset: UInt16(position)))
      guard case .decoded = unsafe decoder.decode(span, into: &plan[count].instruction) else {
        break
      }
      let length = unsafe plan[count].instruction.length
      position += Int(length)
      count += 1
      let last = unsafe plan[count - 1].instruction
      if let head = unsafe loopHead(last, end: position, plan, count, start: start) {
        count = head
        break
      }
      if last.traits.contains(.changesControlFlow), last.operation != .jcc { break }
      let turns = turns(last, end: position, count, start: start)
      if turns > 1 {
        for turn in 1..<turns { unsafe (plan + turn * count).initialize(from: plan, count: count) }
        count *= turns
        break
      }
    }
    unsafe (plan + count).initialize(to: PlannedInstruction(instruction: .empty, offset: 0))
    unsafe outlook(plan, count)
    return count
  }

  /// How often the plan repeats its `count` instructions, the last of which may branch back to the first: one look for
  /// attention serves all turns of a short loop, and one TLB look-up may.
  private func turns(_ last: Instruction, end: Int, _ count: Int, start: Int) -> Int {
    guard last.operation == .jcc, Int64(end) &+ last.immediate == Int64(start) else { return 1 }
    return min(Self.mostTurns, min(Self.mostRepeated, env.maximumBlockLength) / count)
  }

  private static let mostTurns = 4
  private static let mostRepeated = 64

  /// The instruction that a block's last one branches back to, unless that is its first: the block ends before it, so that
  /// the loop is not translated twice.
  private func loopHead(
    _ last: Instruction, end: Int, _ plan: UnsafeMutablePointer<PlannedInstruction>, _ count: Int,
    start: Int
  ) -> Int? {
    guard last.operation == .jcc || last.operation == .jmp, last.operands[0].kind == .relative
    else { return nil }
    let target = Int64(end) &+ last.immediate
    guard target > Int64(start), target < Int64(end) else { return nil }
    for number in 1..<count where unsafe Int64(plan[number].offset) == target { return number }
    return nil
  }

  /// Looks from the end of the block back.
  private func outlook(_ plan: UnsafeMutablePointer<PlannedInstruction>, _ count: Int) {
    var lookUps: UInt8 = 0
    var isLive = true
    for position in stride(from: count - 1, through: 0, by: -1) {
      let i = unsafe plan[position].instruction
      switch FlagEffect(i) {
      case .none: break
      case .reads: isLive = true
      case .overwrites:
        isLive = false
        lookUps = 0
      }
      if unsafe needsLookUp(i, position == 0 ? nil : plan[position - 1].instruction) {
        lookUps = min(lookUps + 1, 100)
      }
      unsafe plan[position].lookUps = lookUps
      unsafe plan[position].flagsAreLive = isLive
    }
  }

  /// Whether an instruction accesses memory otherwise than the one before does, whose look-up would serve both.
  private func needsLookUp(_ i: Instruction, _ previous: Instruction?) -> Bool {
    switch i.operation {
    case .push, .pop: return previous?.operation != i.operation
    case .call, .ret, .leave: return true
    case .jmp: return i.operands[0].kind != .relative
    case .lea, .nop, .prefetch, .prefetchw: return false
    default: break
    }
    guard i.hasMemoryOperand else { return false }
    guard let previous, previous.hasMemoryOperand, i.index >= 16 else { return true }
    return previous.base != i.base || previous.index < 16
  }
}
