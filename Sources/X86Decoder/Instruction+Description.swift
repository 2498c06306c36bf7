extension Instruction: CustomStringConvertible {
  /// Intel syntax, for traces; conditions by number.
  public var description: String {
    var words: [String] = []
    if prefixes.contains(.lock) { words.append("lock") }
    if prefixes.contains(.repeatEqual) { words.append("rep") }
    if prefixes.contains(.repeatNotEqual) { words.append("repne") }
    var name = "\(operation)"
    if operation == .jcc || operation == .setcc || operation == .cmovcc {
      name = String(name.dropLast(2)) + Self.conditions[Int(opcode & 15)]
    }
    words.append(name)
    var texts: [String] = []
    for number in 0..<4 where operands[number].kind != .none {
      texts.append(text(operands[number]))
    }
    let line = words.joined(separator: " ")
    return texts.isEmpty ? line : line + " " + texts.joined(separator: ", ")
  }

  private static let conditions = [
    "o", "no", "b", "nb", "z", "nz", "be", "nbe", "s", "ns", "p", "np", "l", "nl", "le", "nle",
  ]
  private static let segments = ["es", "cs", "ss", "ds", "fs", "gs"]
  private static let generals = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"]

  private func text(_ operand: Operand) -> String {
    switch operand.kind {
    case .none: ""
    case .general: Self.name(operand.number, byteCount: Int(operand.byteCount))
    case .memory: Self.size(operand.byteCount) + address
    case .immediate: Self.hexadecimal(immediate)
    case .secondImmediate: Self.hexadecimal(Int64(immediate2))
    case .one: "1"
    case .relative: "$" + Self.signed(immediate &+ Int64(length))
    case .farPointer:
      Self.hexadecimal(Int64(immediate2)) + ":" + Self.hexadecimal(immediate)
    case .segment: Self.segments[Int(operand.number) % 6]
    case .control: "cr\(operand.number)"
    case .debug: "dr\(operand.number)"
    case .vector: (operand.byteCount == 32 ? "ymm" : "xmm") + "\(operand.number)"
    case .mmx: "mm\(operand.number)"
    case .x87: "st\(operand.number)"
    case .string:
      Self.size(operand.byteCount)
        + (operand.number == 7 ? "es" : Self.segments[Int(segment) % 6])
        + ":[" + Self.name(operand.number, byteCount: Int(addressSize)) + "]"
    case .mask: "k\(operand.number)"
    case .bound: "bnd\(operand.number)"
    }
  }

  private var address: String {
    var terms: [String] = []
    if base == Self.ripRegister {
      terms.append(addressSize == 4 ? "eip" : "rip")
    } else if base != Self.noRegister {
      terms.append(Self.name(base, byteCount: Int(addressSize)))
    }
    if index != Self.noRegister {
      let register =
        traits.contains(.vectorIndex)
        ? "xmm\(index)" : Self.name(index, byteCount: Int(addressSize))
      terms.append(scale == 0 ? register : "\(register)*\(1 << Int(scale & 3))")
    }
    var text = terms.joined(separator: "+")
    if terms.isEmpty {
      text = Self.hexadecimal(displacement)
    } else if displacement != 0 {
      text += Self.signed(displacement)
    }
    return Self.segments[Int(segment) % 6] + ":[" + text + "]"
  }

  private static func name(_ number: UInt8, byteCount: Int) -> String {
    if number >= 16 { return ["ah", "ch", "dh", "bh"][Int(number) & 3] }
    if number >= 8 {
      let suffix = [1: "b", 2: "w", 4: "d"][byteCount] ?? ""
      return "r\(number)\(suffix)"
    }
    let word = generals[Int(number)]
    switch byteCount {
    case 1: return number < 4 ? word.prefix(1) + "l" : word + "l"
    case 2: return word
    case 4: return "e" + word
    default: return "r" + word
    }
  }

  private static func size(_ byteCount: UInt16) -> String {
    switch byteCount {
    case 1: "byte "
    case 2: "word "
    case 4: "dword "
    case 8: "qword "
    case 10: "tbyte "
    case 16: "xmmword "
    case 32: "ymmword "
    default: ""
    }
  }

  private static func signed(_ value: Int64) -> String {
    (value < 0 ? "-0x" : "+0x") + String(value.magnitude, radix: 16)
  }

  private static func hexadecimal(_ value: Int64) -> String {
    (value < 0 ? "-0x" : "0x") + String(value.magnitude, radix: 16)
  }
}
