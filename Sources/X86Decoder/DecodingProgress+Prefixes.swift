extension DecodingProgress {
  /// Legacy prefixes in any order, then REX where it directly precedes the opcode (SDM 2A 2.1.1, 2.2.1);
  /// returns the first opcode byte.
  @inline(__always)
  mutating func readPrefixes(_ bytes: Span<UInt8>, _ instruction: inout Instruction) -> UInt8? {
    while let byte = next(bytes) {
      switch byte {
      case 0x66: instruction.prefixes.insert(.operandSize)
      case 0x67: instruction.prefixes.insert(.addressSize)
      case 0xF0: instruction.prefixes.insert(.lock)
      case 0xF2:
        // Of F2 and F3 the last holds.
        instruction.prefixes.remove(.repeatEqual)
        instruction.prefixes.insert(.repeatNotEqual)
      case 0xF3:
        instruction.prefixes.remove(.repeatNotEqual)
        instruction.prefixes.insert(.repeatEqual)
      case 0x26, 0x2E, 0x36, 0x3E:
        if !is64Bit { segmentOverride = byte >> 3 & 3 }
      case 0x64, 0x65: segmentOverride = byte & 7
      case 0x40...0x4F where is64Bit:
        hasREX = true
        rex = byte & 15
        continue
      default:
        finishPrefixes(&instruction)
        return byte
      }
      hasREX = false
      rex = 0
    }
    return nil
  }

  @inline(__always)
  private mutating func finishPrefixes(_ instruction: inout Instruction) {
    if hasREX {
      instruction.prefixes.insert(.rex)
      if isWide { instruction.prefixes.insert(.rexW) }
    }
    if instruction.prefixes.contains(.repeatNotEqual) {
      prefixClass = 3
    } else if instruction.prefixes.contains(.repeatEqual) {
      prefixClass = 2
    } else if instruction.prefixes.contains(.operandSize) {
      prefixClass = 1
    }
    instruction.addressSize = mode.rawValue
    if instruction.prefixes.contains(.addressSize) {
      instruction.addressSize = mode == .bits32 ? 2 : 4
    }
  }
}
