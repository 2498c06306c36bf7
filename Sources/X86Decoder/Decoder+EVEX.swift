extension Decoder {
  /// AVX-512 is not offered: an EVEX instruction is decoded for its length alone (SDM 2A 2.7).
  func decodeEVEX(
    _ bytes: Span<UInt8>, _ progress: inout DecodingProgress, _ instruction: inout Instruction
  ) -> DecodeOutcome {
    guard let first = progress.next(bytes), let second = progress.next(bytes),
      let third = progress.next(bytes), let opcode = progress.next(bytes)
    else { return progress.shortage }
    let map = first & 7
    let banned: Prefixes = [.lock, .operandSize, .repeatEqual, .repeatNotEqual, .rex]
    guard instruction.prefixes.isDisjoint(with: banned), first & 8 == 0, second & 4 != 0,
      map != 0, map != 4, map != 7
    else { return .invalid }
    instruction.encoding = .evex
    instruction.opcode = opcode
    instruction.map = OpcodeMap(rawValue: min(map, 3)) ?? .map0F
    instruction.operation = .evex
    instruction.feature = .avx512
    instruction.traits = .avx
    instruction.vectorLength = 16 << min(third >> 5 & 3, 2)
    progress.isVEX = true
    if progress.is64Bit {
      progress.rex = (first & 0x80 == 0 ? 4 : 0) | (first & 0x40 == 0 ? 2 : 0)
      progress.rex |= first & 0x20 == 0 ? 1 : 0
    }
    guard progress.readModRM(bytes, [.hasModRM, .vectorIndex], &instruction) else {
      return progress.shortage
    }
    let hasImmediate: Bool =
      switch map {
      case 1: (0x70...0x73).contains(opcode) || opcode == 0xC2 || (0xC4...0xC6).contains(opcode)
      case 3: true
      default: false
      }
    if hasImmediate {
      guard let immediate = progress.next(bytes) else { return progress.shortage }
      instruction.immediate = Int64(immediate)
    }
    return .decoded
  }
}
