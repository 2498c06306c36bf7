/// Where in the tables a row belongs.
struct RowPlace {
  /// `OpcodeTable.tableIndex`.
  var table: Int
  var opcode: Int
  var count: Int
  /// Bit n: prefix class n (none, 66, F3, F2).
  var prefixClasses: Int
  /// Whether the row names its prefixes and so goes before one that takes them all.
  var isSpecific: Bool
  var digit: Int?
  var exactModRM: Int?
  var allowsMemory = true
  var allowsRegister = true

  func matches(modRM: Int) -> Bool {
    if let exactModRM { return modRM == exactModRM }
    if let digit, modRM >> 3 & 7 != digit { return false }
    return modRM >= 0xC0 ? allowsRegister : allowsMemory
  }

  var needsModRM: Bool {
    digit != nil || exactModRM != nil || !allowsMemory || !allowsRegister
  }
}

/// Reads the opcode table's text. A mistake in it ends the process: it is part of the program.
struct OpcodeParser {
  private let operations: [String: Operation]
  private let features: [String: InstructionFeature]

  init() {
    operations = Dictionary(uniqueKeysWithValues: Operation.allCases.map { ("\($0)", $0) })
    features = Dictionary(uniqueKeysWithValues: InstructionFeature.allCases.map { ("\($0)", $0) })
  }

  func parse(_ section: OpcodeSection) -> [(OpcodeRow, RowPlace)] {
    section.rows.split(separator: "\n").flatMap { parse($0, in: section) }
  }

  private func parse(_ line: Substring, in section: OpcodeSection) -> [(OpcodeRow, RowPlace)] {
    let columns = line.split(separator: " ").map { $0 == "." ? "" : $0 }
    precondition(columns.count >= 5, "columns: \(line)")
    var row = OpcodeRow(
      operation: .invalid, feature: section.feature, mandatoryPrefix: 0, validity: 0xFF,
      options: [], sizeRule: .effective, operandCount: 0, operands: .init(repeating: .none),
      traits: section.traits)
    var place = self.place(columns[0], section, line)
    parseConditions(columns[1], &row, &place, line)
    parseModRM(columns[2], &row, &place, line)
    guard let operation = operations[String(columns[3])] else {
      preconditionFailure("mnemonic: \(line)")
    }
    row.operation = operation
    let access = columns.count > 5 ? Array(columns[5]) : []
    for (number, code) in columns[4].split(separator: ",").enumerated() {
      precondition(number < 4, "operands: \(line)")
      var operand = Self.operand(code, line)
      operand.access = number < access.count ? Self.access(access[number], line) : .read
      if operand.method == .one || operand.method == .relative { operand.access = .read }
      row.operands[number] = operand
      row.operandCount += 1
      note(operand, &row, &place)
    }
    setSizeRule(&row)
    setAlignment(&row, section)
    var features: [InstructionFeature] = []
    for word in columns.dropFirst(6) {
      if word.hasPrefix("@") {
        features = word.dropFirst().split(separator: "/").map { feature($0, line) }
      } else {
        parseTrait(word, &row, line)
      }
    }
    row.feature = features.first ?? row.feature
    if features.count == 2 {
      var long = row
      long.feature = features[1]
      row.validity &= 0b0101_0101
      long.validity &= 0b1010_1010
      return [(row, place), (long, place)]
    }
    return [(row, place)]
  }

  private func feature(_ name: Substring, _ line: Substring) -> InstructionFeature {
    guard let feature = features[String(name)] else { preconditionFailure("feature: \(line)") }
    return feature
  }

  private func place(
    _ text: Substring, _ section: OpcodeSection, _ line: Substring
  ) -> RowPlace {
    var digits = text
    var count = 1
    if digits.hasSuffix("+r") { count = 8 }
    if digits.hasSuffix("+c") { count = 16 }
    if count > 1 { digits = digits.dropLast(2) }
    var map = OpcodeMap.primary
    if digits.count > 2, digits.hasPrefix("0F") {
      digits = digits.dropFirst(2)
      map = .map0F
      if digits.count > 2 {
        map = digits.hasPrefix("38") ? .map0F38 : .map0F3A
        digits = digits.dropFirst(2)
      }
    }
    guard let opcode = Int(digits, radix: 16), opcode + count <= 256 else {
      preconditionFailure("opcode: \(line)")
    }
    return RowPlace(
      table: OpcodeTable.tableIndex(section.encoding, map), opcode: opcode, count: count,
      prefixClasses: section.encoding == .legacy ? 0b1111 : 0b0001, isSpecific: false)
  }

  private func parseConditions(
    _ text: Substring, _ row: inout OpcodeRow, _ place: inout RowPlace, _ line: Substring
  ) {
    for condition in text.split(separator: ".") {
      place.isSpecific = place.isSpecific || ["NP", "66", "F3", "F2", "NFx"].contains(condition)
      switch condition {
      case "NP": place.prefixClasses = 0b0001
      case "NFx": place.prefixClasses = 0b0011
      case "66": (place.prefixClasses, row.mandatoryPrefix) = (0b0010, 0x66)
      case "F3": (place.prefixClasses, row.mandatoryPrefix) = (0b0100, 0xF3)
      case "F2": (place.prefixClasses, row.mandatoryPrefix) = (0b1000, 0xF2)
      case "L0": row.validity &= 0b0101_0101
      case "L1": row.validity &= 0b1010_1010
      case "W0": row.validity &= 0b0011_0011
      case "W1": row.validity &= 0b1100_1100
      case "Wd": row.validity &= 0b0011_1111
      case "Wq": row.validity &= 0b1100_0000
      case "O64": row.validity &= 0b1111_0000
      case "I64": row.validity &= 0b0000_1111
      default: preconditionFailure("condition: \(line)")
      }
    }
  }

  private func parseModRM(
    _ text: Substring, _ row: inout OpcodeRow, _ place: inout RowPlace, _ line: Substring
  ) {
    guard !text.isEmpty else { return }
    row.options.insert(.hasModRM)
    var rest = text
    if rest.hasPrefix("=") {
      place.exactModRM = Int(rest.dropFirst(), radix: 16)
      precondition(place.exactModRM != nil, "ModRM: \(line)")
      return
    }
    if rest.hasPrefix("/") {
      rest = rest.dropFirst()
      place.digit = rest.popFirst()?.wholeNumberValue
      precondition(place.digit != nil, "digit: \(line)")
    }
    switch rest {
    case "": break
    case "m": place.allowsRegister = false
    case "r": place.allowsMemory = false
    default: preconditionFailure("ModRM: \(line)")
    }
  }

  private static func access(_ letter: Character, _ line: Substring) -> Operand.Access {
    switch letter {
    case "r": .read
    case "w": .write
    case "x": .readWrite
    case "-": .none
    default: preconditionFailure("access: \(line)")
    }
  }

  /// What an operand says about its row.
  private func note(_ operand: OperandCode, _ row: inout OpcodeRow, _ place: inout RowPlace) {
    switch operand.method {
    case .generalOrMemory, .general, .segment, .vector, .vectorOrMemory, .mmx, .mmxOrMemory:
      row.options.insert(.hasModRM)
    case .memory:
      row.options.insert(.hasModRM)
      place.allowsRegister = false
    case .generalOnly, .vectorOnly, .mmxOnly:
      row.options.insert(.hasModRM)
      place.allowsMemory = false
    case .control, .debug, .systemGeneral: row.options.formUnion([.hasModRM, .ignoresMod])
    case .generalByVEX, .vectorByVEX: row.options.insert(.usesVVVV)
    default: break
    }
  }

  private func setSizeRule(_ row: inout OpcodeRow) {
    for number in 0..<Int(row.operandCount) {
      let operand = row.operands[number]
      switch operand.method {
      case .generalOrMemory, .general, .memory, .generalByOpcode, .fixedGeneral, .offset,
        .stringSource, .stringDestination:
        // DX and CL say nothing about the data.
        if operand.method == .fixedGeneral, operand.number != 0 { continue }
      default: continue
      }
      switch operand.width {
      case .byte: row.sizeRule = .byte
      case .upToDoubleword: row.sizeRule = .upToDoubleword
      case .byW: row.sizeRule = .byW
      default: row.sizeRule = .effective
      }
      return
    }
  }

  /// Legacy SSE memory operands of 16 bytes must be aligned (SDM 1 4.1.1).
  private func setAlignment(_ row: inout OpcodeRow, _ section: OpcodeSection) {
    guard section.encoding == .legacy, section.traits.contains(.sse) else { return }
    for number in 0..<Int(row.operandCount) {
      let operand = row.operands[number]
      switch operand.method {
      case .vectorOrMemory, .memory:
        if operand.memoryWidth == .vector || operand.memoryWidth == .octword {
          row.traits.insert(.alignedOperand)
        }
      default: break
      }
    }
  }

  private func parseTrait(_ word: Substring, _ row: inout OpcodeRow, _ line: Substring) {
    switch word {
    case "d64": row.options.insert(.defaults64)
    case "f64": row.options.insert(.forced64)
    case "lock": row.traits.insert(.lockable)
    case "cf": row.traits.insert(.changesControlFlow)
    case "wf": row.traits.insert(.writesFlags)
    case "rf": row.traits.insert(.readsFlags)
    case "rep": row.traits.insert(.repeatable)
    case "priv": row.traits.insert(.privileged)
    case "pm": row.traits.insert(.protectedModeOnly)
    case "xm": row.traits.insert(.raisesSIMDException)
    case "al": row.traits.insert(.alignedOperand)
    case "ua": row.traits.remove(.alignedOperand)
    case "nw": row.traits.insert(.noWait)
    case "ctl": row.traits.insert(.x87Control)
    case "mmx": row.traits.insert(.mmx)
    case "sse": row.traits.insert(.sse)
    case "x87": row.traits.insert(.x87)
    case "vsib":
      row.traits.insert(.vectorIndex)
      row.options.insert(.vectorIndex)
    default: preconditionFailure("trait: \(line)")
    }
  }
}
