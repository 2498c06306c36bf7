extension Instruction {
  public static var empty: Instruction {
    Instruction(
      operation: .invalid, length: 0, map: .primary, opcode: 0, encoding: .legacy, prefixes: [],
      mandatoryPrefix: 0, operandSize: 4, addressSize: 8, hasModRM: false, modRM: 0,
      hasMemoryOperand: false, reg: 0, rm: 0, vvvv: 0, vectorLength: 0, base: 16, index: 16,
      scale: 0, segment: 3, hasSegmentOverride: false, displacement: 0, immediate: 0, immediate2: 0,
      operands: .init(repeating: Operand()), feature: .base, traits: [])
  }
}
