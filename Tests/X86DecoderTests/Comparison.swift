import CZydis
import X86Decoder

/// Our decoding of some bytes next to Zydis's.
struct Comparison {
  var ours: Instruction
  var outcome: DecodeOutcome
  var theirs: czydis_instruction
  var mode: CodeMode
  var bytes: [UInt8]

  init(_ bytes: [UInt8], mode: CodeMode, decoder: Decoder) {
    self.bytes = bytes
    self.mode = mode
    ours = .empty
    outcome = decoder.decode(bytes.span, into: &ours)
    theirs = bytes.withUnsafeBufferPointer {
      czydis_decode(
        mode == .bits64 ? 64 : (mode == .bits32 ? 32 : 16), $0.baseAddress, UInt($0.count))
    }
  }

  var isOursValid: Bool { outcome == .decoded }
  var isTheirsValid: Bool { theirs.valid != 0 }
  var theirName: String { theirs.mnemonic.map { String(cString: $0) } ?? "-" }

  /// What the two disagree about, and `nil` where they agree.
  var difference: String? {
    guard isOursValid == isTheirsValid else { return "validity" }
    guard isOursValid else { return nil }
    guard Int32(ours.length) == theirs.length else { return "length" }
    guard ours.operation != .evex else { return nil }
    guard Mnemonics.agree(ours, theirName) else { return "mnemonic" }
    if let difference = memoryDifference { return difference }
    return registerDifference ?? immediateDifference ?? flagDifference
  }

  /// CF, PF, AF, ZF, SF and OF; what becomes undefined counts as written.
  private var flagDifference: String? {
    if ours.traits.contains(.readsFlags) != (theirs.flagsRead & 0x8D5 != 0) {
      return "flags read"
    }
    if ours.traits.contains(.writesFlags) != (theirs.flagsWritten & 0x8D5 != 0) {
      return "flags written"
    }
    return nil
  }

  /// Their explicit register operands must be among ours, in order: we list some more that are implied.
  private var registerDifference: String? {
    // A NOP's ModRM.reg means nothing, and is no operand of ours.
    guard ours.operation != .nop else { return nil }
    let all = [
      theirs.registers.0, theirs.registers.1, theirs.registers.2, theirs.registers.3,
      theirs.registers.4,
    ]
    var expected = all.prefix(Int(theirs.registerCount))[...]
    for number in 0..<4 {
      switch ours.operands[number].kind {
      case .general, .segment, .control, .debug, .vector, .mmx, .x87, .bound, .mask:
        if expected.first == Int32(ours.operands[number].number) { expected.removeFirst() }
      default: break
      }
    }
    return expected.isEmpty ? nil : "register \(expected)"
  }

  private var memoryDifference: String? {
    guard ours.hasMemoryOperand == (theirs.hasMemory != 0) else { return "memory" }
    guard ours.hasMemoryOperand else { return nil }
    guard Int32(ours.base) == theirs.base, Int32(ours.index) == theirs.index,
      ours.index == Instruction.noRegister || Int32(1 << ours.scale) == theirs.scale
        // An address that is not used for access has the scale 0 where it is 1.
        || theirs.scale == 0
    else { return "address" }
    guard Int32(ours.segment) == theirs.segment || ours.operation == .lea else { return "segment" }
    let mask: Int64 = ours.addressSize == 8 ? -1 : (ours.addressSize == 4 ? 0xFFFF_FFFF : 0xFFFF)
    guard ours.displacement & mask == theirs.displacement & mask else { return "displacement" }
    var memory = Operand()
    for number in 0..<4 where ours.operands[number].kind == .memory {
      memory = ours.operands[number]
    }
    // Without a width of its own: LEA, XSAVE.
    guard memory.byteCount == 0 || Int32(memory.byteCount) == theirs.memoryBytes else {
      return "memory width"
    }
    guard
      memory.byteCount == 0
        || (memory.access.reads == (theirs.reads != 0)
          && memory.access.writes == (theirs.writes != 0))
    else { return "memory access" }
    return nil
  }

  private var immediateDifference: String? {
    var expected: [UInt64] = []
    for number in 0..<4 {
      switch ours.operands[number].kind {
      case .immediate, .relative: expected.append(UInt64(bitPattern: ours.immediate))
      case .secondImmediate: expected.append(UInt64(ours.immediate2))
      case .farPointer:
        expected += [UInt64(bitPattern: ours.immediate), UInt64(ours.immediate2)]
      case .vector:
        // is4
        if ours.encoding == .vex, number == 3 {
          expected.append(UInt64(bitPattern: ours.immediate))
        }
      default: break
      }
    }
    guard expected.count == Int(theirs.immediateCount) else { return "immediates" }
    let values = [theirs.immediates.0, theirs.immediates.1]
    let bits = [theirs.immediateBits.0, theirs.immediateBits.1]
    for (number, value) in expected.enumerated() {
      let mask = bits[number] >= 64 ? UInt64.max : (1 << UInt64(bits[number])) - 1
      guard value & mask == values[number] & mask else { return "immediate" }
    }
    return nil
  }

  var report: String {
    let hex = bytes.prefix(15).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
    return "\(mode) [\(hex.joined(separator: " "))] ours: \(outcome) \(ours.length) \(ours)"
      + " theirs: \(isTheirsValid ? "\(theirName) \(theirs.length)" : "invalid")"
      + (isTheirsValid && theirs.hasMemory != 0
        ? " mem \(theirs.memoryBytes) \(theirs.base)+\(theirs.index)*\(theirs.scale)"
          + "+\(theirs.displacement) seg \(theirs.segment) r\(theirs.reads) w\(theirs.writes)" : "")
  }
}
