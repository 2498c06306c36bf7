/// The forms that the differential tests run: r/m is RCX or [RSI], the register RDX.
extension HostOracleDifferentialTests {
  /// Often a dividend that fits its lower half, or nearly: others only fault.
  static let smallDividend: OraclePreparation = { registers, _, generator in
    let kind = generator.next() >> 8
    guard kind & 3 != 0 else { return }
    if kind & 4 != 0 {
      registers[0] = UInt64(bitPattern: Int64(Int8(truncatingIfNeeded: registers[0])))
    }
    registers[2] = kind & 3 == 1 ? 0 : UInt64(bitPattern: Int64(bitPattern: registers[0]) >> 63)
  }

  static var integerForms: [OracleForm] {
    var forms: [OracleForm] = []
    let noAdjust: UInt64 = 0x8C5
    /// All widths of an opcode whose bit 0 tells bytes from the rest, register and memory.
    func add(
      _ name: String, _ opcode: [UInt8], group: UInt8 = 2, hasByte: Bool = true, tail: [UInt8] = [],
      flags: UInt64 = 0x8D5, prepare: OraclePreparation? = nil
    ) {
      let prefixes: [[UInt8]] = [[], [0x66], [], [0x48]]
      for (width, prefix) in prefixes.enumerated() where width > 0 || hasByte {
        var code = opcode
        if hasByte, width > 0 { code[code.count - 1] |= 1 }
        for modRM in [0xC1 | group << 3, 0x06 | group << 3] {
          forms.append(
            OracleForm(
              name: "\(name).\(8 << width).\(modRM >= 0xC0 ? "r" : "m")",
              bytes: prefix + code + [modRM] + tail, definedFlags: flags, prepare: prepare))
        }
      }
    }
    for (number, name) in ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"].enumerated() {
      let isLogic = [1, 4, 6].contains(number)
      add(name, [UInt8(number * 8)], flags: isLogic ? noAdjust : 0x8D5)
      add(name + ".reverse", [UInt8(number * 8 + 2)], flags: isLogic ? noAdjust : 0x8D5)
      add(
        name + ".imm8", [0x83], group: UInt8(number), hasByte: false, tail: [0x85],
        flags: isLogic ? noAdjust : 0x8D5)
    }
    add("test", [0x84], flags: noAdjust)
    add("xchg", [0x86])
    add("mov", [0x88])
    add("xadd", [0x0F, 0xC0])
    add("cmpxchg", [0x0F, 0xB0])
    add("inc", [0xFE], group: 0)
    add("dec", [0xFE], group: 1)
    add("not", [0xF6], group: 2)
    add("neg", [0xF6], group: 3)
    add("mul", [0xF6], group: 4, flags: 0x801)
    add("imul1", [0xF6], group: 5, flags: 0x801)
    add("div", [0xF6], group: 6, flags: 0, prepare: smallDividend)
    add("idiv", [0xF6], group: 7, flags: 0, prepare: smallDividend)
    add("imul2", [0x0F, 0xAF], hasByte: false, flags: 0x801)
    add("imul3", [0x6B], hasByte: false, tail: [0xF3], flags: 0x801)
    for (number, name) in ["rol", "ror", "rcl", "rcr", "shl", "shr", "sal", "sar"].enumerated() {
      let group = UInt8(number)
      add(name + ".1", [0xD0], group: group, flags: number < 4 ? 0x8D5 : noAdjust)
      for count: UInt8 in [0, 3, 9, 17, 31, 33, 63] {
        // OF is defined for counts of 1 only, CF of SHL and SHR up to the width.
        add(
          "\(name).\(count)", [0xC0], group: group, tail: [count], flags: number < 4 ? 0xD5 : 0xC4)
      }
      add(name + ".cl", [0xD2], group: group, flags: number < 4 ? 0xD5 : 0xC4)
    }
    for (name, opcode) in [("shld", UInt8(0xA4)), ("shrd", 0xAC)] {
      add(name, [0x0F, opcode], hasByte: false, tail: [7], flags: 0xC5)
      add(name + ".1", [0x0F, opcode], hasByte: false, tail: [1], flags: noAdjust)
    }
    for (number, name) in ["bt", "bts", "btr", "btc"].enumerated() {
      add(name, [0x0F, 0xBA], group: UInt8(4 + number), hasByte: false, tail: [0x2D], flags: 0x41)
    }
    for (name, opcode) in [("bsf", UInt8(0xBC)), ("bsr", 0xBD)] {
      add(name, [0x0F, opcode], hasByte: false, flags: 0x40)
      // A zero source leaves all 64 bits of the destination.
      forms.append(
        OracleForm(
          name: name + ".zero", bytes: [0x0F, opcode, 0xD1], definedFlags: 0x40,
          prepare: { registers, _, _ in registers[1] = 0 }))
    }
    for (name, opcode) in [("popcnt", UInt8(0xB8)), ("tzcnt", 0xBC), ("lzcnt", 0xBD)] {
      for modRM: UInt8 in [0xD1, 0x16] {
        let flags: UInt64 = opcode == 0xB8 ? 0x8D5 : 0x41
        for prefix: [UInt8] in [[0x66, 0xF3], [0xF3], [0xF3, 0x48]] {
          forms.append(
            OracleForm(
              name: "\(name).\(prefix)\(modRM)", bytes: prefix + [0x0F, opcode, modRM],
              definedFlags: flags))
        }
      }
    }
    for condition in UInt8(0)..<16 {
      add("cmov\(condition)", [0x0F, 0x40 + condition], hasByte: false)
      forms.append(OracleForm(name: "set\(condition)", bytes: [0x0F, 0x90 + condition, 0xC1]))
    }
    for (name, opcode) in [
      ("movzx8", UInt8(0xB6)), ("movzx16", 0xB7), ("movsx8", 0xBE), ("movsx16", 0xBF),
    ] {
      add(name, [0x0F, opcode], hasByte: false)
    }
    for prefix: [UInt8] in [[], [0x66], [0x48]] {
      forms += [
        OracleForm(name: "bswap\(prefix)", bytes: (prefix == [0x66] ? [] : prefix) + [0x0F, 0xC9]),
        OracleForm(name: "cbw\(prefix)", bytes: prefix + [0x98]),
        OracleForm(name: "cwd\(prefix)", bytes: prefix + [0x99]),
        OracleForm(
          name: "crc32\(prefix)",
          bytes: Array(prefix.prefix { $0 == 0x66 }) + [0xF2]
            + prefix.filter { $0 != 0x66 } + [0x0F, 0x38, 0xF1, 0xD1]),
        OracleForm(name: "movbe\(prefix)", bytes: prefix + [0x0F, 0x38, 0xF0, 0x16]),
        OracleForm(name: "movs\(prefix)", bytes: prefix + [0xA5]),
        OracleForm(name: "cmps\(prefix)", bytes: prefix + [0xA7]),
        OracleForm(name: "scas\(prefix)", bytes: prefix + [0xAF]),
        OracleForm(name: "lods\(prefix)", bytes: prefix + [0xAD]),
        OracleForm(name: "stos\(prefix)", bytes: prefix + [0xAB]),
      ]
    }
    return forms
  }

  static var vectorForms: [OracleForm] {
    var forms: [OracleForm] = []
    func add(_ prefix: [UInt8], _ opcodes: [UInt8], tail: [UInt8] = []) {
      for opcode in opcodes {
        for modRM: UInt8 in [0xD1, 0x16] {
          let bytes = prefix + [0x0F, opcode, modRM] + tail
          forms.append(OracleForm(name: "\(bytes.map { String($0, radix: 16) })", bytes: bytes))
        }
      }
    }
    let packed: [UInt8] = [0x14, 0x51, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5C, 0x5D, 0x5E, 0x5F]
    add([], packed + [0x5A, 0x5B, 0x2E, 0x2F, 0x10, 0x11, 0x28, 0x29])
    add([0x66], packed + [0x5A, 0x5B, 0x2E, 0x2F, 0x6E, 0x7E, 0x6F, 0x7F])
    add([0xF3], [0x51, 0x58, 0x59, 0x5A, 0x5B, 0x5C, 0x5D, 0x5E, 0x5F, 0x2A, 0x2C, 0x2D, 0x10])
    add([0xF2], [0x51, 0x58, 0x59, 0x5A, 0x5C, 0x5D, 0x5E, 0x5F, 0x2A, 0x2C, 0x2D, 0xE6, 0x12])
    add(
      [0x66],
      Array(0x60...0x6D) + [0x74, 0x75, 0x76, 0xD4, 0xD5, 0xDB, 0xDF, 0xEB, 0xEF, 0xF4, 0xF6])
    add([0x66], [0x70, 0xC4, 0xC6], tail: [0x1B])
    add([], [0xC2, 0xC6], tail: [2])
    forms.append(OracleForm(name: "pmovmskb", bytes: [0x66, 0x0F, 0xD7, 0xD1]))
    forms.append(OracleForm(name: "movmskps", bytes: [0x44, 0x0F, 0x50, 0xC1]))
    forms.append(OracleForm(name: "addps high", bytes: [0x45, 0x0F, 0x58, 0xCA]))
    forms.append(OracleForm(name: "pcmpestri", bytes: [0x66, 0x0F, 0x3A, 0x61, 0xD1, 0x0C]))
    forms.append(OracleForm(name: "pcmpistrm", bytes: [0x66, 0x0F, 0x3A, 0x62, 0xD1, 0x0C]))
    forms.append(OracleForm(name: "ptest", bytes: [0x66, 0x0F, 0x38, 0x17, 0xD1]))
    forms.append(OracleForm(name: "blendvps", bytes: [0x66, 0x0F, 0x38, 0x14, 0xD1]))
    return forms
  }

  static var x87Forms: [OracleForm] {
    // Two pops first, so that loads have room.
    let room: [UInt8] = [0xDD, 0xD8, 0xDD, 0xD8]
    let tails: [[UInt8]] = [
      [0xD9, 0xE8], [0xD9, 0xEB], [0xD9, 0xC2], [0xD8, 0xC1], [0xD8, 0xC9], [0xD8, 0xE1],
      [0xD8, 0xF1], [0xDE, 0xC1], [0xDE, 0xC9], [0xD9, 0xFA], [0xD9, 0xFC], [0xD9, 0xE0],
      [0xD9, 0xE1], [0xD9, 0xC9], [0xD9, 0x06], [0xDD, 0x06], [0xDB, 0x06], [0xDF, 0x2E],
      [0xD9, 0x16], [0xD9, 0x1E], [0xDD, 0x16], [0xDD, 0x1E], [0xDB, 0x16], [0xDF, 0x3E],
      [0xDB, 0x3E], [0xDF, 0xE0], [0xDB, 0xF1], [0xDF, 0xF1], [0xDA, 0xC1], [0xDB, 0xC9],
      [0xD9, 0x7E, 0x10], [0xD9, 0xFB], [0xD9, 0xF8], [0xD9, 0xE5], [0xDB, 0xE3], [0xDB, 0xE2],
      [0x0F, 0xFE, 0xD1], [0x0F, 0xEF, 0x16], [0x0F, 0x77], [0x0F, 0xF7, 0xD1],
    ]
    return tails.map { OracleForm(name: "\($0.map { String($0, radix: 16) })", bytes: room + $0) }
  }
}
