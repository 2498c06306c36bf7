/// How an operand is encoded: the first letter of its code in SDM 2D Appendix A.2.1.
enum AddressingMethod: UInt8 {
  case none
  /// E: ModRM.rm, a general register or memory.
  case generalOrMemory
  /// G: ModRM.reg, a general register.
  case general
  /// M: ModRM.rm, memory only.
  case memory
  /// R: ModRM.rm, a general register only.
  case generalOnly
  /// B: VEX.vvvv, a general register.
  case generalByVEX
  /// Z: the opcode's low three bits, a general register.
  case generalByOpcode
  /// AL, CL, DX, eAX, rAX: a fixed general register.
  case fixedGeneral
  /// I: an immediate, zero-extended when it is shorter than the operand (`Ib`, `Iw`).
  case unsignedImmediate
  /// I: a sign-extended immediate (`Ibs`, `Iz`, `Iv`).
  case signedImmediate
  /// The constant 1.
  case one
  /// J: a branch displacement.
  case relative
  /// A: a far pointer in the code.
  case farPointer
  /// O: an address in the code (moffs).
  case offset
  /// S: ModRM.reg, a segment register.
  case segment
  /// ES, CS, SS, DS, FS, GS by the opcode.
  case fixedSegment
  /// C and D: ModRM.reg, a control or debug register.
  case control
  case debug
  /// R as MOV to and from C and D has it: ModRM.mod is ignored.
  case systemGeneral
  /// V, W, U, H, L: vector registers by reg, rm or memory, rm, vvvv and imm8[7:4].
  case vector
  case vectorOrMemory
  case vectorOnly
  case vectorByVEX
  case vectorByImmediate
  /// XMM0, implied.
  case vectorZero
  /// P, Q, N: MMX registers by reg, rm or memory, rm.
  case mmx
  case mmxOrMemory
  case mmxOnly
  /// ST(0) and ST(i).
  case stackTop
  case stackRegister
  /// X and Y: the string operands at rSI and rDI.
  case stringSource
  case stringDestination
}

/// How wide an operand is: the rest of its code in SDM 2D Appendix A.2.2.
enum OperandWidth: UInt8 {
  /// Depends on the CPU's state, or does not matter.
  case unspecified
  case byte, word, doubleword, quadword, octword, doubleOctword, tenByte
  /// v, z, y: 2, 4 or 8 by operand size; the same, but 4 at most; 4 or 8 by REX.W alone.
  case byOperandSize, upToDoubleword, byW
  /// The natural width of the mode: 8 in 64-bit mode, else 4.
  case byMode
  /// x, h, u, e: the vector's length, and its half, quarter and eighth.
  case vector, halfVector, quarterVector, eighthVector
  /// p, s, a: a far pointer, a pseudo-descriptor, a pair of bounds.
  case farPointer, pseudoDescriptor, bounds
  /// The x87 environment and state, by operand size.
  case environment, x87State
  /// The FXSAVE area, and a 64-byte line.
  case extendedArea, line
}

/// One operand of a row of the opcode table.
struct OperandCode {
  var method: AddressingMethod
  /// Of a register; `memoryWidth` where the operand is memory instead.
  var width: OperandWidth
  var memoryWidth: OperandWidth
  /// The register, for the fixed ones.
  var number: UInt8
  var access: Operand.Access

  static let none = OperandCode(
    method: .none, width: .unspecified, memoryWidth: .unspecified, number: 0, access: .none)
}
