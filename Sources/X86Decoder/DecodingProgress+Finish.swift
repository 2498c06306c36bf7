extension DecodingProgress {
  /// Reads what follows the opcode, by its row, and fills in the instruction.
  @inline(__always)
  mutating func finish(
    _ row: OpcodeRow, _ bytes: Span<UInt8>, _ instruction: inout Instruction
  ) -> DecodeOutcome {
    instruction.operation = row.operation
    instruction.feature = row.feature
    instruction.traits = row.traits
    instruction.mandatoryPrefix = row.mandatoryPrefix
    if row.mandatoryPrefix == 0xF3 { instruction.prefixes.remove(.repeatEqual) }
    if row.mandatoryPrefix == 0xF2 { instruction.prefixes.remove(.repeatNotEqual) }
    if isVEX {
      guard row.options.contains(.usesVVVV) || !hasVVVV else { return .invalid }
    } else if row.traits.contains(.sse) {
      instruction.vectorLength = 16
    }
    setOperandSize(row, &instruction)
    instruction.segment = 3
    if row.options.contains(.hasModRM) {
      guard readModRM(bytes, row.options, &instruction) else { return shortage }
    }
    if segmentOverride != Self.noSegment {
      instruction.segment = segmentOverride
      instruction.hasSegmentOverride = true
    }
    for number in 0..<Int(row.operandCount) {
      let outcome = resolve(row.operands[number], number, bytes, &instruction)
      guard outcome == .decoded else { return outcome }
    }
    if row.options.contains(.vectorIndex), !isGatherLegal(instruction) { return .invalid }
    if instruction.prefixes.contains(.lock) {
      guard row.traits.contains(.lockable), instruction.operands[0].kind == .memory else {
        return .invalid
      }
    }
    return .decoded
  }

  /// SDM 1 table 3-4, with the 64-bit defaults of SDM 2D A.2.5.
  @inline(__always)
  private mutating func setOperandSize(_ row: OpcodeRow, _ instruction: inout Instruction) {
    let isToggled =
      instruction.prefixes.contains(.operandSize) && row.mandatoryPrefix != 0x66
    var size: UInt8
    if mode == .bits16 {
      size = isToggled ? 4 : 2
    } else {
      size = isToggled ? 2 : 4
      if is64Bit {
        if isWide || row.options.contains(.forced64)
          || (size == 4 && row.options.contains(.defaults64))
        {
          size = 8
        }
      }
    }
    operandSize = size
    instruction.operandSize =
      switch row.sizeRule {
      case .effective: size
      case .byte: 1
      case .upToDoubleword: min(size, 4)
      case .byW: is64Bit && isWide ? 8 : 4
      }
  }

  /// A gather needs a SIB byte, and three different registers (SDM 2C VGATHERDPS).
  private func isGatherLegal(_ instruction: Instruction) -> Bool {
    guard instruction.hasMemoryOperand, instruction.modRM & 7 == 4, instruction.addressSize != 2
    else { return false }
    return instruction.reg != instruction.index && instruction.reg != instruction.vvvv
      && instruction.index != instruction.vvvv
  }
}
