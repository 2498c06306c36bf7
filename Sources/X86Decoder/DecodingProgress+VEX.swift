extension DecodingProgress {
  /// Reads the rest of a VEX prefix and the opcode (SDM 2A 2.3.5).
  mutating func readVEX(
    _ bytes: Span<UInt8>, isThreeByte: Bool, _ instruction: inout Instruction
  ) -> DecodeOutcome {
    guard let first = next(bytes) else { return shortage }
    var last = first
    var map: UInt8 = 1
    // R, X and B are inverted.
    rex = first & 0x80 == 0 ? 4 : 0
    if isThreeByte {
      guard let second = next(bytes) else { return shortage }
      last = second
      map = first & 31
      rex |= (first & 0x40 == 0 ? 2 : 0) | (first & 0x20 == 0 ? 1 : 0)
      if second & 0x80 != 0 { rex |= 8 }
    }
    // The registers 8…15 are 64-bit mode's; the bits are ignored elsewhere.
    if !is64Bit { rex &= 8 }
    isVEX = true
    isLong = last & 4 != 0
    instruction.encoding = .vex
    instruction.vectorLength = isLong ? 32 : 16
    instruction.vvvv = ~last >> 3 & (is64Bit ? 15 : 7)
    hasVVVV = last & 0x78 != 0x78
    guard let opcode = next(bytes) else { return shortage }
    instruction.opcode = opcode
    // #UD after LOCK, 66, F2, F3 and REX.
    let banned: Prefixes = [.lock, .operandSize, .repeatEqual, .repeatNotEqual, .rex]
    guard instruction.prefixes.isDisjoint(with: banned) else { return .invalid }
    guard (1...3).contains(map), let named = OpcodeMap(rawValue: map) else { return .invalid }
    instruction.map = named
    if isWide { instruction.prefixes.insert(.rexW) }
    switch last & 3 {
    case 1: prefixClass = 1
    case 2: prefixClass = 2
    case 3: prefixClass = 3
    default: prefixClass = 0
    }
    return .decoded
  }
}
