/// A part of the opcode table: rows in text, and what they have in common.
///
/// A row has seven columns, `.` standing for nothing:
///
/// 1. The opcode with its map (`58`, `0F58`, `0F3858`, `0F3A0F`); `+r` and `+c` for 8 and 16 in a row.
/// 2. Conditions, joined by periods: `NP` no prefix, `66`, `F3`, `F2` that mandatory prefix, `NFx` neither
///    F3 nor F2; `L0` `L1` `W0` `W1` VEX.L and W (or REX.W); `Wd` and `Wq` W where 32- and 64-bit mode
///    have one form in common; `O64` and `I64` only and not in 64-bit mode.
/// 3. ModRM: `/digit`, `m` memory only, `r` register only, or both (`/5r`); `=F8` that byte alone.
/// 4. The mnemonic, a case of `Operation`.
/// 5. The operands in the codes of SDM 2D Appendix A; `Ed/b` is a doubleword register or a byte of memory.
/// 6. The access to each, `r`, `w` or `x` for both; what is left out is read.
/// 7. Traits: see `OpcodeParser.trait`; `@feature` where the section's does not hold, `@a/b` for a with
///    VEX.L 0 and b with 1.
struct OpcodeSection {
  var encoding: Encoding
  var feature: InstructionFeature
  var traits: InstructionTraits
  var rows: String

  init(
    _ feature: InstructionFeature, _ traits: InstructionTraits = [],
    encoding: Encoding = .legacy, rows: String
  ) {
    self.encoding = encoding
    self.feature = feature
    self.traits = traits
    self.rows = rows
  }

  static let all: [OpcodeSection] =
    [
      arithmetic, moves, strings, branches, twoByte, bitOperations, privileged, systemGroup,
      virtualization, cacheControl, randomNumbers, x87,
      mmx, ssse3MMX, sseMoves, sseArithmetic, sseConversions, sseIntegers, ssse3, sse4, sse4a,
      cryptography,
      avxMoves, avxArithmetic, avxConversions, avxIntegers, avxPermutations, avxGathers,
      fusedMultiplyAdd, bitManipulation,
    ]
}
