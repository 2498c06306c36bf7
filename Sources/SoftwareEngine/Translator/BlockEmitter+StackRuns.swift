import X86Decoder

/// A run of PUSH or POP of registers, as functions begin and end with: one TLB look-up for all its slots.
struct StackRun {
  static let maximumCount = 14
  var isPush: Bool
  var count = 0
  /// Guest registers, and the lengths of their instructions.
  var registers: InlineArray<14, UInt8> = .init(repeating: 0)
  var lengths: InlineArray<14, UInt8> = .init(repeating: 0)

  /// Takes an instruction in; `false` if it does not belong to the run.
  mutating func append(_ i: Instruction, width: Int) -> Bool {
    guard count < Self.maximumCount, i.operation == (isPush ? .push : .pop),
      i.operands[0].kind == .general, Int(i.operandSize) == width,
      // RSP changes on the way.
      i.operands[0].number != 4
    else { return false }
    registers[count] = i.operands[0].number
    lengths[count] = i.length
    count += 1
    return true
  }

  var byteCount: Int { (0..<count).reduce(0) { $0 + Int(lengths[$1]) } }
}

/// A run whose slots were not all in one page of the TLB: its instructions one by one, out of line.
@safe struct PutOffRun {
  var run: StackRun
  /// The rel32 that leads there, and where code goes on afterwards.
  var place: UnsafeMutablePointer<UInt8>
  var end: UnsafeMutablePointer<UInt8>
  var index: Int
  var source: FlagSource
  var flagsInHost: Bool
  var executed: Int
}

extension BlockEmitter {
  /// The run that the current instruction begins, if there is one, in a plan of `total` instructions.
  func stackRun(_ total: Int) -> StackRun? {
    // SAFETY: the plan has `total` instructions.
    let plan = unsafe translator.plan
    let first = unsafe plan[index].instruction
    guard first.operation == .push || first.operation == .pop else { return nil }
    var run = StackRun(isPush: first.operation == .push)
    while index + run.count < total,
      unsafe run.append(plan[index + run.count].instruction, width: stackWidth)
    {}
    return run.count > 1 ? run : nil
  }

  /// Emits a run that starts at the current instruction.
  mutating func emitRun(_ run: StackRun) {
    let size = run.count * stackWidth
    nextOffset = offset + run.byteCount
    effect = .none
    let kills = killsOfSource(run)
    if kills.a || kills.b { copySource(kills.a, kills.b) }
    if run.isPush {
      code.address(Host.r14, base: Host.guestRSP, Int32(-size), isWide: is64Bit)
    } else {
      code.move(Host.r14, Host.guestRSP, isWide: is64Bit)
    }
    let first = executed
    let firstIndex = index
    let place = unsafe emitRunLookUp(size: size, isWrite: run.isPush)
    code.address(Host.r14, base: Host.r14, index: Host.rcx, 0)
    let opcode = HostOpcode(opcode: run.isPush ? 0x89 : 0x8B, isWide: is64Bit)
    for number in 0..<run.count {
      let slot = run.isPush ? run.count - 1 - number : number
      let memory = HostOperand.base(Host.r14, Int32(slot * stackWidth))
      let guest = run.registers[number]
      if let host = Host.register(guest) {
        code.legacy(opcode, host, memory)
      } else if run.isPush {
        code.load(Host.rcx, .state(StateOffset.register(guest)))
        code.legacy(opcode, Host.rcx, memory)
      } else {
        code.legacy(opcode, Host.rcx, memory)
        code.store(Host.rcx, .state(StateOffset.register(guest)))
      }
    }
    let (source, flagsInHost) = (source, flagsInHost)
    moveStack(run.isPush ? -size : size)
    executed += run.count - 1
    if run.isPush {
      code.move(Host.r14, Host.guestRSP)
      emitStoreCheck(size: size)
    }
    executed += 1
    putOffRuns.append(
      unsafe PutOffRun(
        run: run, place: place, end: code.cursor, index: firstIndex, source: source,
        flagsInHost: flagsInHost, executed: first))
  }

  /// Which of the source's registers a run changes.
  private func killsOfSource(_ run: StackRun) -> (a: Bool, b: Bool) {
    guard source.kind.readsRegisters else { return (false, false) }
    func kills(_ register: UInt8) -> Bool {
      !run.isPush && (0..<run.count).contains { run.registers[$0] == register }
    }
    return (
      source.a == 4 && !source.followsConstants || kills(source.a), source.b == 4 || kills(source.b)
    )
  }

  /// Emits the runs that were put off, instruction by instruction.
  mutating func emitPutOffRuns() {
    for item in putOffRuns {
      unsafe Assembler.patch(item.place, code.cursor)
      emitSingly(
        item.index..<item.index + item.run.count, executed: item.executed, item.source,
        flagsInHost: item.flagsInHost)
      unsafe code.jump(item.end)
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
