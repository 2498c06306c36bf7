extension DecodingProgress {
  /// Turns a row's operand into the instruction's, reading immediates on the way.
  @inline(__always)
  mutating func resolve(
    _ code: OperandCode, _ position: Int, _ bytes: Span<UInt8>, _ instruction: inout Instruction
  ) -> DecodeOutcome {
    var operand = Operand(
      kind: .general, number: code.number, byteCount: 0, access: code.access)
    var width = code.width
    switch code.method {
    case .none: return .decoded
    case .generalOrMemory, .generalOnly, .memory:
      if instruction.hasMemoryOperand {
        operand.kind = .memory
        width = code.memoryWidth
      } else {
        operand.number = instruction.rm
      }
    case .systemGeneral: operand.number = instruction.rm
    case .general: operand.number = instruction.reg
    case .generalByVEX: operand.number = instruction.vvvv
    case .generalByOpcode:
      instruction.rm = (instruction.opcode & 7) | (rex & 1) << 3
      operand.number = instruction.rm
    case .fixedGeneral: break
    case .unsignedImmediate, .signedImmediate, .relative, .farPointer, .offset,
      .vectorByImmediate:
      return resolveImmediate(code, position, bytes, &instruction)
    case .one: operand.kind = .one
    case .segment, .fixedSegment, .control, .debug:
      return resolveSystemRegister(code, position, &instruction)
    case .vector: (operand.kind, operand.number) = (.vector, instruction.reg)
    case .vectorOrMemory, .vectorOnly:
      if instruction.hasMemoryOperand {
        operand.kind = .memory
        width = code.memoryWidth
      } else {
        (operand.kind, operand.number) = (.vector, instruction.rm)
      }
    case .vectorByVEX: (operand.kind, operand.number) = (.vector, instruction.vvvv)
    case .vectorZero: operand.kind = .vector
    case .mmx: (operand.kind, operand.number) = (.mmx, instruction.reg & 7)
    case .mmxOrMemory, .mmxOnly:
      if instruction.hasMemoryOperand {
        operand.kind = .memory
        width = code.memoryWidth
      } else {
        (operand.kind, operand.number) = (.mmx, instruction.rm & 7)
      }
    case .stackTop: operand.kind = .x87
    case .stackRegister: (operand.kind, operand.number) = (.x87, instruction.modRM & 7)
    case .stringSource: (operand.kind, operand.number) = (.string, 6)
    case .stringDestination: (operand.kind, operand.number) = (.string, 7)
    }
    operand.byteCount = byteCount(width, instruction)
    if operand.kind == .general, operand.byteCount == 1, !hasREX, operand.number & 0xFC == 4 {
      // AH, CH, DH, BH
      operand.number &+= 12
    }
    instruction.operands[position] = operand
    return .decoded
  }

  @inline(__always)
  func byteCount(_ width: OperandWidth, _ instruction: Instruction) -> UInt16 {
    switch width {
    case .unspecified: 0
    case .byte: 1
    case .word: 2
    case .doubleword: 4
    case .quadword: 8
    case .octword: 16
    case .doubleOctword: 32
    case .tenByte: 10
    case .byOperandSize: UInt16(operandSize)
    case .upToDoubleword: UInt16(min(operandSize, 4))
    case .byW: is64Bit && isWide ? 8 : 4
    case .byMode: is64Bit ? 8 : 4
    case .vector: isLong ? 32 : 16
    case .halfVector: isLong ? 16 : 8
    case .quarterVector: isLong ? 8 : 4
    case .eighthVector: isLong ? 4 : 2
    case .farPointer: UInt16(operandSize) &+ 2
    case .pseudoDescriptor: is64Bit ? 10 : 6
    case .bounds: UInt16(operandSize) &* 2
    case .environment: operandSize == 2 ? 14 : 28
    case .x87State: operandSize == 2 ? 94 : 108
    case .extendedArea: 512
    case .line: 64
    }
  }

  /// Immediates stand in the code in the order of the operands.
  @inline(__always)
  private mutating func resolveImmediate(
    _ code: OperandCode, _ position: Int, _ bytes: Span<UInt8>, _ instruction: inout Instruction
  ) -> DecodeOutcome {
    let size = code.method == .offset ? Int(instruction.addressSize) : immediateSize(code.width)
    guard let value = number(bytes, byteCount: size) else { return shortage }
    let unused = Int64(64 &- 8 &* size)
    let signed = (Int64(bitPattern: value) &<< unused) &>> unused
    var operand = Operand(
      kind: .immediate, number: 0, byteCount: UInt16(truncatingIfNeeded: size),
      access: code.access)
    switch code.method {
    case .unsignedImmediate:
      // ENTER, EXTRQ and INSERTQ have two.
      if position > 0, instruction.operands[position &- 1].kind == .immediate {
        operand.kind = .secondImmediate
        instruction.immediate2 = UInt16(truncatingIfNeeded: value)
      } else {
        instruction.immediate = Int64(bitPattern: value)
      }
    case .signedImmediate: instruction.immediate = signed
    case .relative:
      operand.kind = .relative
      instruction.immediate = signed
    case .farPointer:
      guard let selector = number(bytes, byteCount: 2) else { return shortage }
      operand.kind = .farPointer
      instruction.immediate = Int64(bitPattern: value)
      instruction.immediate2 = UInt16(truncatingIfNeeded: selector)
    case .offset:
      operand.kind = .memory
      operand.byteCount = byteCount(code.width, instruction)
      instruction.hasMemoryOperand = true
      instruction.displacement = Int64(bitPattern: value)
    default:
      // is4: the register's number in the upper half.
      operand.kind = .vector
      operand.number = UInt8(truncatingIfNeeded: value) >> 4 & (is64Bit ? 15 : 7)
      operand.byteCount = byteCount(code.width, instruction)
      instruction.immediate = Int64(bitPattern: value)
    }
    instruction.operands[position] = operand
    return .decoded
  }

  @inline(__always)
  private func immediateSize(_ width: OperandWidth) -> Int {
    switch width {
    case .byte: 1
    case .word: 2
    case .doubleword: 4
    case .upToDoubleword, .farPointer: Int(min(operandSize, 4))
    case .byOperandSize: Int(operandSize)
    default: 1
    }
  }

  /// Registers that do not exist are #UD.
  private func resolveSystemRegister(
    _ code: OperandCode, _ position: Int, _ instruction: inout Instruction
  ) -> DecodeOutcome {
    var operand = Operand(kind: .segment, number: code.number, byteCount: 2, access: code.access)
    switch code.method {
    case .segment:
      operand.number = instruction.reg & 7
      guard operand.number < 6, operand.number != 1 || !code.access.writes else { return .invalid }
    case .control:
      operand = Operand(
        kind: .control, number: instruction.reg, byteCount: is64Bit ? 8 : 4, access: code.access)
      // CR0, CR2, CR3, CR4 and CR8.
      guard 0b1_0001_1101 as UInt16 >> UInt16(operand.number) & 1 != 0 else { return .invalid }
    case .debug:
      operand = Operand(
        kind: .debug, number: instruction.reg, byteCount: is64Bit ? 8 : 4, access: code.access)
      guard operand.number < 8 else { return .invalid }
    default: break
    }
    instruction.operands[position] = operand
    return .decoded
  }
}
