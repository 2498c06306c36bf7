/// Integer forms beyond the first opcode map's arithmetic.
extension HostOracleDifferentialTests {
  private static let allFlags: UInt64 = 0x8D5
  private static let noAdjust: UInt64 = 0x8C5
  /// The prefixes for bytes (whose opcodes are their own), words, doublewords and quadwords.
  private static let operandSizes: [[UInt8]] = [[], [0x66], [], [0x48]]

  static var furtherIntegerForms: [OracleForm] {
    bitManipulationForms + exchangeForms + highByteForms + doubleShiftForms + flagForms
      + branchForms + byteOrderForms + lockedForms + stackForms
  }

  /// BMI1, BMI2 and ADX.
  private static var bitManipulationForms: [OracleForm] {
    var forms: [OracleForm] = []
    /// VEX.LZ: the destination is `register`, the middle operand RBX or `middle`.
    func vex(
      _ name: String, map: UInt8 = 2, pp: UInt8, opcode: UInt8, register: UInt8 = 2,
      middle: UInt8 = 3, tail: [UInt8] = [], flags: UInt64
    ) {
      for wide: UInt8 in [0, 0x80] {
        for modRM: UInt8 in [0xC1, 0x06] {
          forms.append(
            OracleForm(
              name: "\(name).\(wide == 0 ? 32 : 64).\(modRM >= 0xC0 ? "r" : "m")",
              bytes: [
                0xC4, 0xE0 | map, wide | (~middle & 15) << 3 | pp, opcode, modRM | register << 3,
              ] + tail, definedFlags: flags))
        }
      }
    }
    let signed: UInt64 = 0x8C1
    vex("andn", pp: 0, opcode: 0xF2, flags: signed)
    vex("bextr", pp: 0, opcode: 0xF7, flags: 0x841)
    vex("blsr", pp: 0, opcode: 0xF3, register: 1, flags: signed)
    vex("blsmsk", pp: 0, opcode: 0xF3, register: 2, flags: signed)
    vex("blsi", pp: 0, opcode: 0xF3, register: 3, flags: signed)
    vex("bzhi", pp: 0, opcode: 0xF5, flags: signed)
    vex("mulx", pp: 3, opcode: 0xF6, register: 0, flags: allFlags)
    vex("mulx.same", pp: 3, opcode: 0xF6, register: 3, flags: allFlags)
    vex("mulx.rdx", pp: 3, opcode: 0xF6, register: 2, flags: allFlags)
    vex("pdep", pp: 3, opcode: 0xF5, flags: allFlags)
    vex("pext", pp: 2, opcode: 0xF5, flags: allFlags)
    vex("sarx", pp: 2, opcode: 0xF7, flags: allFlags)
    vex("shlx", pp: 1, opcode: 0xF7, flags: allFlags)
    vex("shrx", pp: 3, opcode: 0xF7, flags: allFlags)
    for count: UInt8 in [0, 1, 31, 32, 63, 0xFF] {
      vex(
        "rorx.\(count)", map: 3, pp: 3, opcode: 0xF0, middle: 0, tail: [count], flags: allFlags)
    }
    for (name, prefix) in [("adcx", UInt8(0x66)), ("adox", 0xF3)] {
      for rex: [UInt8] in [[], [0x48]] {
        for modRM: UInt8 in [0xD1, 0x16] {
          forms.append(
            OracleForm(
              name: "\(name).\(rex)\(modRM)", bytes: [prefix] + rex + [0x0F, 0x38, 0xF6, modRM]))
        }
      }
    }
    return forms
  }

  /// CMPXCHG in all widths with operands that are often equal, CMPXCHG8B and 16B, XADD, XCHG.
  private static var exchangeForms: [OracleForm] {
    let often: OraclePreparation = { registers, memory, generator in
      guard generator.next() & 0x100 == 0 else { return }
      registers[1] = registers[0]
      for index in 0..<16 {
        memory[0x100 + index] = UInt8(truncatingIfNeeded: registers[0] >> UInt64(index & 7 * 8))
      }
    }
    let pair: @Sendable (Int) -> OraclePreparation = { size in
      { registers, memory, generator in
        guard generator.next() & 0x100 == 0 else { return }
        for index in 0..<size {
          memory[0x100 + index] = UInt8(truncatingIfNeeded: registers[0] >> UInt64(index * 8))
          memory[0x100 + size + index] =
            UInt8(truncatingIfNeeded: registers[2] >> UInt64(index * 8))
        }
      }
    }
    var forms: [OracleForm] = []
    for lock: [UInt8] in [[], [0xF0]] {
      forms += [
        OracleForm(name: "\(lock)cmpxchg8b", bytes: lock + [0x0F, 0xC7, 0x0E], prepare: pair(4)),
        OracleForm(
          name: "\(lock)cmpxchg16b", bytes: lock + [0x48, 0x0F, 0xC7, 0x0E], prepare: pair(8)),
      ]
    }
    for (width, prefix) in operandSizes.enumerated() {
      let bit: UInt8 = width == 0 ? 0 : 1
      for modRM: UInt8 in [0xD1, 0x16, 0xC9, 0xC2] {
        for (name, code) in [
          ("cmpxchg", [UInt8(0x0F), 0xB0]), ("xadd", [0x0F, 0xC0]), ("xchg", [0x86]),
        ] {
          var opcode = code
          opcode[opcode.count - 1] |= bit
          forms.append(
            OracleForm(
              name: "\(name).often.\(8 << width).\(modRM)", bytes: prefix + opcode + [modRM],
              prepare: often))
        }
      }
      if width > 0 {
        forms.append(OracleForm(name: "xchg.rax.\(8 << width)", bytes: prefix + [0x91]))
      }
    }
    return forms
  }

  /// AH, CH, DH and BH, as source, as destination, and mixed with low bytes and memory.
  private static var highByteForms: [OracleForm] {
    var forms: [OracleForm] = []
    func add(_ name: String, _ code: [UInt8], tail: [UInt8] = [], flags: UInt64 = 0x8D5) {
      forms.append(
        OracleForm(
          name: "\(name).\(code.map { String($0, radix: 16) })", bytes: code + tail,
          definedFlags: flags))
    }
    // AH with DH, CL with CH, BH with BL, BH and memory, DH with itself.
    for modRM: UInt8 in [0xF4, 0xE9, 0xDF, 0x3E, 0x26, 0xF6] {
      for number in UInt8(0)..<8 {
        let flags = [1, 4, 6].contains(number) ? noAdjust : allFlags
        add("high", [number * 8, modRM], flags: flags)
        add("high.reverse", [number * 8 + 2, modRM], flags: flags)
        if modRM >= 0xC0 {
          add("high.imm", [0x80, 0xC0 | number << 3 | modRM & 7], tail: [0x85], flags: flags)
        }
      }
      add("high.test", [0x84, modRM], flags: noAdjust)
      add("high.xchg", [0x86, modRM])
      add("high.mov", [0x88, modRM])
      add("high.load", [0x8A, modRM])
      add("high.xadd", [0x0F, 0xC0, modRM])
      add("high.cmpxchg", [0x0F, 0xB0, modRM])
    }
    for register: UInt8 in 4..<8 {
      let rm = 0xC0 | register
      add("high.mov imm", [0xB0 | register], tail: [0x5A])
      add("high.set", [0x0F, 0x92, rm])
      add("high.inc", [0xFE, rm])
      add("high.dec", [0xFE, rm | 8])
      add("high.not", [0xF6, rm | 2 << 3])
      add("high.neg", [0xF6, rm | 3 << 3])
      add("high.mul", [0xF6, rm | 4 << 3], flags: 0x801)
      add("high.imul", [0xF6, rm | 5 << 3], flags: 0x801)
      // AX by AH never fits.
      if register > 4 { add("high.div", [0xF6, rm | 6 << 3], flags: 0) }
      add("high.idiv", [0xF6, rm | 7 << 3], flags: 0)
      for group in UInt8(0)..<8 {
        add("high.shift", [0xD0, rm | group << 3], flags: group < 4 ? allFlags : noAdjust)
        add("high.shift", [0xD2, rm | group << 3], flags: group < 4 ? 0xD5 : 0xC4)
      }
      for opcode: UInt8 in [0xB6, 0xBE] {
        add("high.extend", [0x0F, opcode, 0xD0 | register])
        add("high.extend", [0x66, 0x0F, opcode, 0xD0 | register])
      }
      add("high.crc32", [0xF2, 0x0F, 0x38, 0xF0, 0xD0 | register])
    }
    // With REX the same numbers are SIL and DIL.
    for modRM: UInt8 in [0xF0, 0xF9] {
      add("low", [0x40, 0x00, modRM])
      add("low.xadd", [0x40, 0x0F, 0xC0, modRM])
    }
    return forms
  }

  /// SHLD and SHRD by CL. Over 16 a 16-bit operand is undefined.
  private static var doubleShiftForms: [OracleForm] {
    var forms: [OracleForm] = []
    for (name, opcode) in [("shld", UInt8(0xA5)), ("shrd", 0xAD)] {
      for (bits, prefix) in [(UInt64(16), [UInt8(0x66)]), (32, []), (64, [0x48])] {
        for modRM: UInt8 in [0xD3, 0x16] {
          forms.append(
            OracleForm(
              name: "\(name).cl.\(bits).\(modRM)", bytes: prefix + [0x0F, opcode, modRM],
              definedFlags: 0xC5,
              prepare: { registers, _, _ in
                guard bits == 16 else { return }
                let count = (registers[1] & 0x1F) % 17
                registers[1] = registers[1] & ~0x1F | count
              }))
        }
      }
    }
    return forms
  }

  private static var flagForms: [OracleForm] {
    [
      OracleForm(name: "lahf", bytes: [0x9F]), OracleForm(name: "sahf", bytes: [0x9E]),
      OracleForm(name: "cmc", bytes: [0xF5]), OracleForm(name: "clc", bytes: [0xF8]),
      OracleForm(name: "stc", bytes: [0xF9]),
      // PUSHF; POP RAX; AND EAX, 0xCD5
      OracleForm(
        name: "pushf", bytes: [0x9C, 0x58, 0x25, 0xD5, 0x0C, 0, 0], definedFlags: noAdjust),
      OracleForm(
        name: "pushf.down", bytes: [0x9C, 0x58, 0x25, 0xD5, 0x0C, 0, 0], definedFlags: noAdjust,
        isDown: true),
      OracleForm(
        name: "pushfw", bytes: [0x66, 0x9C, 0x66, 0x58, 0x66, 0x25, 0xD5, 0x0C],
        definedFlags: noAdjust),
      // AND EDX, 0xCD5; PUSH RDX; POPF; PUSHF; POP RAX, whose IF is the host's own
      OracleForm(
        name: "popf",
        bytes: [
          0x81, 0xE2, 0xD5, 0x0C, 0, 0, 0x52, 0x9D, 0x9C, 0x58, 0x48, 0x0F, 0xBA, 0xF0, 0x09,
        ], definedFlags: 0x40),
      OracleForm(
        name: "popf flags", bytes: [0x81, 0xE2, 0xD5, 0x08, 0, 0, 0x52, 0x9D]),
    ]
  }

  /// Jumps over LEA RAX, [RAX + 1].
  private static var branchForms: [OracleForm] {
    let few: OraclePreparation = { registers, _, generator in
      let kind = generator.next()
      registers[1] =
        [0, 1, 2, registers[1], registers[1] << 32, registers[1] << 32 | 1][
          Int(kind >> 8) % 6]
    }
    let target: [UInt8] = [0x48, 0x8D, 0x40, 0x01]
    var forms = (UInt8(0)..<16).map {
      OracleForm(name: "jcc.\($0)", bytes: [0x70 | $0, 4] + target)
    }
    for opcode: UInt8 in 0xE0...0xE3 {
      forms.append(
        OracleForm(name: "loop.\(opcode)", bytes: [opcode, 4] + target, prepare: few))
      forms.append(
        OracleForm(name: "loop32.\(opcode)", bytes: [0x67, opcode, 4] + target, prepare: few))
    }
    return forms
  }

  /// MOVBE, BSWAP, CRC32 and XLAT.
  private static var byteOrderForms: [OracleForm] {
    var forms: [OracleForm] = []
    for (bits, prefix) in [(16, [UInt8(0x66)]), (32, []), (64, [0x48])] {
      forms += [
        OracleForm(name: "movbe.load.\(bits)", bytes: prefix + [0x0F, 0x38, 0xF0, 0x16]),
        OracleForm(name: "movbe.store.\(bits)", bytes: prefix + [0x0F, 0x38, 0xF1, 0x16]),
      ]
    }
    for modRM: UInt8 in [0xD1, 0x16] {
      for (name, code) in [
        ("8", [UInt8(0xF2), 0x0F, 0x38, 0xF0]), ("8.64", [0xF2, 0x48, 0x0F, 0x38, 0xF0]),
        ("16", [0x66, 0xF2, 0x0F, 0x38, 0xF1]), ("32", [0xF2, 0x0F, 0x38, 0xF1]),
        ("64", [0xF2, 0x48, 0x0F, 0x38, 0xF1]),
      ] {
        forms.append(OracleForm(name: "crc32.\(name).\(modRM)", bytes: code + [modRM]))
      }
    }
    forms.append(
      OracleForm(
        name: "xlat", bytes: [0xD7], prepare: { registers, _, _ in registers[3] = registers[6] }))
    return forms
  }

  /// LOCK on everything that takes it and was not tried above.
  private static var lockedForms: [OracleForm] {
    var forms: [OracleForm] = []
    for (width, prefix) in operandSizes.enumerated() {
      let bit: UInt8 = width == 0 ? 0 : 1
      func add(_ name: String, _ code: [UInt8], flags: UInt64) {
        forms.append(
          OracleForm(
            name: "lock \(name).\(8 << width)", bytes: [0xF0] + prefix + code, definedFlags: flags))
      }
      for number in UInt8(0)..<7 {
        let flags = [1, 4, 6].contains(number) ? noAdjust : allFlags
        add("op\(number)", [number * 8 | bit, 0x16], flags: flags)
        add("op\(number).imm8", [bit == 0 ? 0x80 : 0x83, 0x06 | number << 3, 0x85], flags: flags)
      }
      add("inc", [0xFE | bit, 0x06], flags: allFlags)
      add("dec", [0xFE | bit, 0x0E], flags: allFlags)
      add("not", [0xF6 | bit, 0x16], flags: allFlags)
      add("neg", [0xF6 | bit, 0x1E], flags: allFlags)
      add("xadd", [0x0F, 0xC0 | bit, 0x16], flags: allFlags)
      if width > 0 {
        for group in UInt8(5)..<8 {
          add("bt\(group)", [0x0F, 0xBA, 0x06 | group << 3, 0x2D], flags: 0x41)
        }
      }
    }
    return forms
  }

  private static var stackForms: [OracleForm] {
    [
      OracleForm(name: "push, pop", bytes: [0x52, 0x58]),
      OracleForm(name: "pushw, popw", bytes: [0x66, 0x52, 0x66, 0x58]),
      OracleForm(name: "push imm8", bytes: [0x6A, 0x85, 0x58]),
      OracleForm(name: "push imm32", bytes: [0x68, 1, 2, 3, 0x84, 0x58]),
      OracleForm(name: "push m, pop m", bytes: [0xFF, 0x36, 0x8F, 0x07]),
      OracleForm(name: "pushw m, popw m", bytes: [0x66, 0xFF, 0x36, 0x66, 0x8F, 0x07]),
    ]
  }
}
