extension OpcodeParser {
  /// One operand code: `Ev`, `Ed/b`, `rAX`, `ST0`.
  static func operand(_ text: Substring, _ line: Substring) -> OperandCode {
    if let fixed = fixed[String(text)] { return fixed }
    let parts = text.split(separator: "/")
    guard let first = parts.first, let letter = first.first, let method = methods[letter] else {
      preconditionFailure("operand \(text): \(line)")
    }
    var code = OperandCode.none
    code.method = method
    var width = first.dropFirst()
    if method == .unsignedImmediate, width == "bs" || width == "z" || width == "v" {
      code.method = .signedImmediate
      if width == "bs" { width = "b" }
    }
    code.width = self.width(width, line)
    code.memoryWidth = parts.count == 2 ? self.width(parts[1], line) : code.width
    return code
  }

  private static func width(_ text: Substring, _ line: Substring) -> OperandWidth {
    guard let width = widths[String(text)] else { preconditionFailure("width \(text): \(line)") }
    return width
  }

  private static let methods: [Character: AddressingMethod] = [
    "E": .generalOrMemory, "G": .general, "M": .memory, "R": .generalOnly, "B": .generalByVEX,
    "Z": .generalByOpcode, "I": .unsignedImmediate, "J": .relative, "A": .farPointer, "O": .offset,
    "S": .segment, "C": .control, "D": .debug, "K": .systemGeneral, "V": .vector,
    "W": .vectorOrMemory, "U": .vectorOnly, "H": .vectorByVEX, "L": .vectorByImmediate, "P": .mmx,
    "Q": .mmxOrMemory, "N": .mmxOnly, "X": .stringSource, "Y": .stringDestination,
  ]

  private static let widths: [String: OperandWidth] = [
    "": .unspecified, "b": .byte, "w": .word, "d": .doubleword, "q": .quadword, "dq": .octword,
    "qq": .doubleOctword, "t": .tenByte, "v": .byOperandSize, "z": .upToDoubleword, "y": .byW,
    "n": .byMode, "x": .vector, "ps": .vector, "pd": .vector, "ss": .doubleword, "sd": .quadword,
    "h": .halfVector, "u": .quarterVector, "e": .eighthVector, "p": .farPointer,
    "s": .pseudoDescriptor, "a": .bounds, "env": .environment, "state": .x87State,
    "fx": .extendedArea, "line": .line,
  ]

  private static let fixed: [String: OperandCode] = [
    "AL": general(0, .byte), "CL": general(1, .byte), "DX": general(2, .word),
    "eAX": general(0, .upToDoubleword), "rAX": general(0, .byOperandSize),
    "1": other(.one), "ST0": other(.stackTop, .tenByte), "STi": other(.stackRegister, .tenByte),
    "AX": general(0, .word), "XMM0": other(.vectorZero, .vector),
    "ES": other(.fixedSegment, .word, 0), "CS": other(.fixedSegment, .word, 1),
    "SS": other(.fixedSegment, .word, 2), "DS": other(.fixedSegment, .word, 3),
    "FS": other(.fixedSegment, .word, 4), "GS": other(.fixedSegment, .word, 5),
  ]

  private static func general(_ number: UInt8, _ width: OperandWidth) -> OperandCode {
    other(.fixedGeneral, width, number)
  }

  private static func other(
    _ method: AddressingMethod, _ width: OperandWidth = .unspecified, _ number: UInt8 = 0
  ) -> OperandCode {
    OperandCode(
      method: method, width: width, memoryWidth: width, number: number, access: .none)
  }
}
