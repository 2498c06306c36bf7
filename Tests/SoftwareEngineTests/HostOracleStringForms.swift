import X86

/// What a form wants to start from, beyond random numbers.
typealias OraclePreparation =
  @Sendable (
    _ registers: inout [UInt64], _ memory: inout [UInt8], _ generator: inout Numbers
  ) -> Void

/// String instructions with and without REP, up and down, and bit strings.
extension HostOracleDifferentialTests {
  /// Up to 31 elements, often none, over bytes that often repeat; sometimes the operands overlap.
  private static let shortStrings: OraclePreparation = { registers, memory, generator in
    let kind = generator.next()
    registers[1] = kind & 7 == 0 ? 0 : kind >> 8 & 31
    guard kind >> 16 & 3 != 0 else { return }
    for index in 0..<1024 { memory[index] = index & 63 == 5 ? memory[index] & 3 : 7 }
    if kind >> 24 & 1 == 0 { registers[0] = 0x0707_0707_0707_0707 }
    if kind >> 32 & 3 == 0 { registers[7] = registers[6] &+ (kind >> 40 & 15) }
  }

  static var stringForms: [OracleForm] {
    var forms: [OracleForm] = []
    let widths: [(name: String, prefix: [UInt8], bit: UInt8)] = [
      ("8", [], 0), ("16", [0x66], 1), ("32", [], 1), ("64", [0x48], 1),
    ]
    let repeats: [(name: String, bytes: [UInt8])] = [
      ("", []), ("rep.", [0xF3]), ("repne.", [0xF2]),
    ]
    for (name, opcode) in [
      ("movs", UInt8(0xA4)), ("cmps", 0xA6), ("stos", 0xAA), ("lods", 0xAC), ("scas", 0xAE),
    ] {
      let compares = opcode == 0xA6 || opcode == 0xAE
      for width in widths {
        for (prefix, repeated) in repeats where compares || prefix != "repne." {
          for isDown in [false, true] {
            for address: [UInt8] in [[], [0x67]] {
              let narrow = width.prefix.first == 0x66 ? width.prefix : []
              let rex = width.prefix.first == 0x48 ? width.prefix : []
              forms.append(
                OracleForm(
                  name: "\(prefix)\(name).\(width.name)\(isDown ? ".down" : "")\(address)",
                  bytes: narrow + address + repeated + rex + [opcode | width.bit],
                  isDown: isDown, prepare: shortStrings))
            }
          }
        }
      }
    }
    return forms
  }

  /// BT and its kin with a bit offset in a register: memory is a bit string around the address.
  static var bitStringForms: [OracleForm] {
    var forms: [OracleForm] = []
    for (name, opcode) in [("bt", UInt8(0xA3)), ("bts", 0xAB), ("btr", 0xB3), ("btc", 0xBB)] {
      for (bits, prefix) in [(UInt64(16), [UInt8(0x66)]), (32, []), (64, [0x48])] {
        let inMemory: OraclePreparation = { registers, _, generator in
          // From 256 bytes below the address to 512 above it.
          let offset = generator.next() % 6080 &- 2048
          let mask = bits == 64 ? UInt64.max : 1 << bits &- 1
          registers[2] = registers[2] & ~mask | offset & mask
        }
        // CF alone is defined, and ZF unchanged.
        forms.append(
          OracleForm(
            name: "\(name).\(bits).r", bytes: prefix + [0x0F, opcode, 0xD1], definedFlags: 0x41))
        for lock: [UInt8] in opcode == 0xA3 ? [[]] : [[], [0xF0]] {
          forms.append(
            OracleForm(
              name: "\(lock)\(name).\(bits).m", bytes: lock + prefix + [0x0F, opcode, 0x16],
              definedFlags: 0x41, prepare: inMemory))
        }
      }
    }
    return forms
  }
}
