/// What a row asks of the decoder beyond its operands.
struct RowOptions: OptionSet {
  var rawValue: UInt8

  static let hasModRM = RowOptions(rawValue: 1 << 0)
  /// d64: in 64-bit mode the operand size is 8 unless 66 makes it 2 (SDM 2D A.2.5).
  static let defaults64 = RowOptions(rawValue: 1 << 1)
  /// f64: in 64-bit mode the operand size is 8 whatever the prefixes.
  static let forced64 = RowOptions(rawValue: 1 << 2)
  /// VEX.vvvv names an operand; elsewhere it must be 1111.
  static let usesVVVV = RowOptions(rawValue: 1 << 3)
  /// VSIB.
  static let vectorIndex = RowOptions(rawValue: 1 << 4)
  /// MOV CR and DR: ModRM.mod is taken for 3.
  static let ignoresMod = RowOptions(rawValue: 1 << 5)
}

/// What `Instruction.operandSize` becomes.
enum OperandSizeRule: UInt8 {
  case effective, byte, upToDoubleword, byW
}

/// One row of the opcode table, parsed.
struct OpcodeRow {
  var operation: Operation
  var feature: InstructionFeature
  var mandatoryPrefix: UInt8
  /// Which combinations of 64-bit mode (4), W (2) and L (1) it is legal in, one bit each.
  var validity: UInt8
  var options: RowOptions
  var sizeRule: OperandSizeRule
  var operandCount: UInt8
  var operands: InlineArray<4, OperandCode>
  var traits: InstructionTraits
}
