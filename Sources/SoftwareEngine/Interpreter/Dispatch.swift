import X86

/// The interpreter's switch: one case a handler.
extension CPU {
  @inline(__always)
  func execute(_ op: Micro) -> Status {
    switch op.handler {
    case .mov: return move(op)
    case .add: return binary(Add.self, op)
    case .or: return binary(Or.self, op)
    case .adc: return binary(AddWithCarry.self, op)
    case .sbb: return binary(SubtractWithBorrow.self, op)
    case .and: return binary(And.self, op)
    case .sub: return binary(Subtract.self, op)
    case .xor: return binary(ExclusiveOr.self, op)
    case .cmp: return binary(Compare.self, op)
    case .test: return binary(Test.self, op)
    case .jcc: return jumpConditional(op)
    case .jmp: return jumpRelative(op)
    case .call: return callRelative(op)
    case .ret: return returnNear(op)
    case .push: return pushRegister(op)
    case .pop: return popRegister(op)
    case .lea: return loadEffectiveAddress(op)
    case .movzx8: return moveZeroExtended(UInt8.self, op)
    case .movzx16: return moveZeroExtended(UInt16.self, op)
    case .movsx8: return moveSignExtended(UInt8.self, op)
    case .movsx16: return moveSignExtended(UInt16.self, op)
    case .movsx32: return moveSignExtended(UInt32.self, op)
    case .inc: return increment(op)
    case .dec: return decrement(op)
    case .neg: return negate(op)
    case .not: return complement(op)
    case .shift: return shift(op)
    case .cmov: return conditionalMove(op)
    case .setcc: return setCondition(op)
    case .nop: return .next
    case .jmpIndirect: return jumpIndirect(op)
    case .callIndirect: return callIndirect(op)
    case .imul: return multiplyTruncated(op)
    case .bitTest: return bitTest(op)
    case .leave: return leaveFrame(op)
    case .pushImmediate: return push(op.immediate, width: op.width) ? .next : .stop
    case .movs, .stos, .lods, .cmps, .scas, .ins, .outs: return string(op)
    case .xchg: return exchange(op)
    case .cmpxchg: return compareExchange(op)
    case .xadd: return exchangeAdd(op)
    default: return executeRare(op)
    }
  }

  @inline(never)
  private func executeRare(_ op: Micro) -> Status {
    switch op.handler {
    case .mul: return multiply(op, signed: false)
    case .imulWide: return multiply(op, signed: true)
    case .div: return divide(op, signed: false)
    case .idiv: return divide(op, signed: true)
    case .doubleShift: return doubleShift(op)
    case .pushMemory: return pushMemory(op)
    case .popMemory: return popMemory(op)
    case .enter: return enterFrame(op)
    case .pusha: return pushAll(op)
    case .popa: return popAll(op)
    case .pushf: return pushFlags(op)
    case .popf: return popFlags(op)
    case .loop: return loop(op)
    case .jcxz: return jumpIfCounterZero(op)
    case .bsf: return bitScan(op, kind: 0)
    case .bsr: return bitScan(op, kind: 1)
    case .tzcnt: return bitScan(op, kind: 2)
    case .lzcnt: return bitScan(op, kind: 3)
    case .popcnt: return bitScan(op, kind: 4)
    case .bswap: return byteSwap(op)
    case .movbe: return moveBigEndian(op)
    case .crc32: return crc32(op)
    case .cbw: return convertToWider(op)
    case .cwd: return convertToDouble(op)
    case .lahf: return loadFlagsIntoAH()
    case .sahf: return storeAHIntoFlags()
    case .flagOperation: return flagOperation(op.detail)
    case .xlat:
      let address = (self[.rbx] &+ UInt64(register(at: 0, UInt8.self))) & op.addressMask
      guard let value: UInt8 = read(op.segment, address) else { return .stop }
      setRegister(at: 0, value)
      return .next
    case .andn, .bextr, .blsi, .blsmsk, .blsr, .bzhi, .mulx, .pdep, .pext, .rorx, .sarx, .shlx,
      .shrx, .adcx, .adox:
      return bitManipulation(op)
    case .decimalAdjust: return decimalAdjust(op)
    case .inPort: return inputFromPort(op)
    case .outPort: return outputToPort(op)
    case .hostExecuted: return executeOnHost(op)
    case .cold: return executeCold(op)
    default: return raise(.invalidOpcode)
    }
  }
}
