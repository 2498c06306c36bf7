extension DecodingProgress {
  /// ModRM, SIB and displacement (SDM 2A 2.1.3–2.1.5, 2.2.1.6, 2.3.12). False: the bytes do not suffice.
  @inline(__always)
  mutating func readModRM(
    _ bytes: Span<UInt8>, _ options: RowOptions, _ instruction: inout Instruction
  ) -> Bool {
    guard let modRM = next(bytes) else { return false }
    instruction.hasModRM = true
    instruction.modRM = modRM
    instruction.reg = (modRM >> 3 & 7) | (rex & 4) << 1
    instruction.segment = 3
    if modRM >= 0xC0 || options.contains(.ignoresMod) {
      instruction.rm = (modRM & 7) | (rex & 1) << 3
      return true
    }
    instruction.hasMemoryOperand = true
    return instruction.addressSize == 2
      ? readAddress16(bytes, modRM, &instruction)
      : readAddress(bytes, modRM, options, &instruction)
  }

  @inline(__always)
  private mutating func readAddress(
    _ bytes: Span<UInt8>, _ modRM: UInt8, _ options: RowOptions, _ instruction: inout Instruction
  ) -> Bool {
    let mod = modRM >> 6
    var base = modRM & 7
    var displacementSize = mod == 1 ? 1 : (mod == 2 ? 4 : 0)
    var isRelative = false
    if base == 4 {
      guard let sib = next(bytes) else { return false }
      let index = (sib >> 3 & 7) | (rex & 2) << 2
      instruction.scale = sib >> 6
      // No index is 4, save that VSIB names a vector register.
      if index != 4 || options.contains(.vectorIndex) { instruction.index = index }
      base = sib & 7
    } else {
      isRelative = is64Bit
    }
    if base == 5, mod == 0 {
      displacementSize = 4
      instruction.base =
        isRelative ? Instruction.ripRegister : Instruction.noRegister
    } else {
      instruction.base = base | (rex & 1) << 3
      // rSP and rBP, not R12 and R13, address the stack.
      if instruction.base == 4 || instruction.base == 5 { instruction.segment = 2 }
    }
    guard displacementSize != 0 else { return true }
    guard let displacement = signedNumber(bytes, byteCount: displacementSize) else { return false }
    instruction.displacement = displacement
    return true
  }

  /// 16-bit addressing: pairs of BX, BP, SI and DI.
  private mutating func readAddress16(
    _ bytes: Span<UInt8>, _ modRM: UInt8, _ instruction: inout Instruction
  ) -> Bool {
    let none = Instruction.noRegister
    let mod = modRM >> 6
    let (base, index): (UInt8, UInt8) =
      switch modRM & 7 {
      case 0: (3, 6)
      case 1: (3, 7)
      case 2: (5, 6)
      case 3: (5, 7)
      case 4: (6, none)
      case 5: (7, none)
      case 6: (mod == 0 ? none : 5, none)
      default: (3, none)
      }
    instruction.base = base
    instruction.index = index
    if base == 5 { instruction.segment = 2 }
    let size = mod == 0 ? (modRM & 7 == 6 ? 2 : 0) : Int(mod)
    guard size != 0 else { return true }
    guard let displacement = signedNumber(bytes, byteCount: size) else { return false }
    instruction.displacement = displacement
    return true
  }
}
