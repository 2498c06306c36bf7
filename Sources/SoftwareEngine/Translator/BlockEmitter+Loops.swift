import X86Decoder

/// A branch back to the block's start.
///
/// It leads to a copy of the instructions from there to the branch, in which is known what the block must find out
/// each time it is entered: where the flags are to be had from, and whether the vector registers are in the host's.
@safe struct Loop {
  /// The rel32 that leads to the copy.
  var place: UnsafeMutablePointer<UInt8>
  /// Where code goes on that does not take the branch; `nil` if it is always taken.
  var exit: UnsafeMutablePointer<UInt8>?
  /// The branch's number in the plan.
  var index: Int
  /// What is known at the branch.
  var source: FlagSource
  var vectorsLoaded: Bool
}

extension BlockEmitter {
  /// Emits a loop's copy.
  mutating func emitLoop(_ loop: Loop) {
    // SAFETY: the code cache keeps room for a block.
    while unsafe Int(bitPattern: code.cursor) & 31 != 0 { code.byte(0x90) }
    unsafe Assembler.patch(loop.place, code.cursor)
    unsafe loopTop = code.cursor
    source = loop.source
    flagsInHost = true
    vectorsLoaded = loop.vectorsLoaded
    emitRange(loop.index + 1)
  }

  /// Emits a conditional branch to the block's start.
  mutating func emitConditionalLoop(_ i: Instruction) -> Outcome {
    if let loop, index == loop.index, let exit = unsafe loop.exit, isAsAtBranch(loop) {
      code.bytes(0x0F, 0x80 | (i.opcode & 15) ^ 1)
      _ = unsafe code.displacement(to: exit)
      emitLoopEdge()
      return .ended
    }
    code.bytes(0x0F, 0x80 | (i.opcode & 15) ^ 1)
    let over = unsafe code.displacement(to: nil)
    let isFirst = loop == nil
    emitLoopEdge()
    unsafe Assembler.patch(over, code.cursor)
    if isFirst { unsafe loop?.exit = code.cursor }
    return .emitted
  }

  /// Emits the way to the next round, unless attention is due.
  mutating func emitLoopEdge() {
    recoverFlags()
    code.address(Host.count, base: Host.count, Int32(-(executed + 1)))
    code.load32(Host.rcx, .state(StateOffset.running))
    code.bytes(0xE3, 0x05)  // jrcxz +5
    let place = unsafe code.jump(nil)
    let site = translator.append(
      Site(
        kind: .edge, executed: 0, blockOffset: UInt16(blockOffset), target: Int32(blockOffset)))
    unsafe addPending(code.jump(nil), site: site)
    if let loop {
      let next = unsafe index == loop.index && isAsAtBranch(loop) ? loopTop ?? entry : entry
      unsafe Assembler.patch(place, next)
    } else {
      unsafe loop = Loop(
        place: place, exit: nil, index: index, source: source, vectorsLoaded: vectorsLoaded)
    }
  }

  /// Whether what is known is what is known at the loop's branch.
  private func isAsAtBranch(_ loop: Loop) -> Bool {
    source == loop.source && vectorsLoaded == loop.vectorsLoaded
  }
}
