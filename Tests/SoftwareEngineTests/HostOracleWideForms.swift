import X86
import X86Decoder

@testable import SoftwareEngine

/// The VEX forms that the differential tests run: all that the decoder knows of AVX.
extension HostOracleDifferentialTests {
  /// Registers and memory, low and high registers, 128 and 256 bits, found by decoding every opcode of
  /// every map with every prefix.
  static var wideForms: [OracleForm] {
    let table = wideTable
    var offered: Set<InstructionFeature> = [.avx]
    let one = table.entry(leaf: 1)?.ecx ?? 0
    let seven = table.entry(leaf: 7)
    let features: [(InstructionFeature, UInt32, UInt32)] = [
      (.fma, one, 12), (.f16c, one, 29), (.aes, one, 25), (.pclmulqdq, one, 1),
      (.avx2, seven?.ebx ?? 0, 5), (.gfni, seven?.ecx ?? 0, 8), (.vaes, seven?.ecx ?? 0, 9),
      (.vpclmulqdq, seven?.ecx ?? 0, 10),
    ]
    for (feature, word, bit) in features where word >> bit & 1 != 0 { offered.insert(feature) }
    var forms: [OracleForm] = []
    for map in UInt8(1)...3 {
      for opcode in UInt8(0)...255 {
        for control in UInt8(0)..<16 {
          // W, L and the prefix; VVVV of XMM3, XMM12 or none.
          let second = (control & 8) << 4 | control & 7
          let spellings: [(UInt8, UInt8, UInt8)] = [
            (0xE0, 3, 0xD1), (0xE0, 3, 0x16), (0xE0, 0, 0xD1), (0xE0, 0, 0x16), (0x40, 12, 0xD1),
            (0x40, 0, 0xD1), (0xE0, 3, 0xF1), (0xE0, 3, 0xE1),
          ]
          for (first, register, modRM) in spellings {
            let bytes =
              [0xC4, first | map, second | (~register & 15) << 3, opcode, modRM] + [0x4B]
            guard let form = wideForm(bytes, offered) else { continue }
            if !forms.contains(where: { $0.bytes == form.bytes }) { forms.append(form) }
          }
        }
      }
    }
    return forms
  }

  private static func wideForm(
    _ bytes: [UInt8], _ offered: Set<InstructionFeature>
  ) -> OracleForm? {
    var instruction = Instruction.empty
    guard X86Decoder.Decoder(mode: .bits64).decode(bytes.span, into: &instruction) == .decoded,
      instruction.traits.contains(.avx), offered.contains(instruction.feature),
      !instruction.traits.contains(.vectorIndex)
    else { return nil }
    let used = Array(bytes.prefix(Int(instruction.length)))
    let name = "\(instruction.operation) \(used.map { String($0, radix: 16) })"
    return OracleForm(name: name, bytes: used)
  }

  /// Every legacy opcode of MMX and SSE to SSE4.2 that the engine has the host execute.
  static var legacyForms: [OracleForm] {
    let offered: Set<InstructionFeature> = [.mmx, .sse, .sse2, .sse3, .ssse3, .sse41, .sse42]
    var forms: [OracleForm] = []
    let escapes: [[UInt8]] = [[0x0F], [0x0F, 0x38], [0x0F, 0x3A]]
    let prefixes: [[UInt8]] = [[], [0x66], [0xF3], [0xF2], [0x48], [0x66, 0x48], [0x66, 0x45]]
    for escape in escapes {
      for opcode in UInt8(0)...255 {
        for prefix in prefixes {
          // With REX.B the base would be R14, which is random.
          for modRM: UInt8 in [0xD1, 0x16, 0xF1, 0xE1]
          where modRM >= 0xC0 || prefix.last != 0x45 {
            var instruction = Instruction.empty
            let bytes = prefix + escape + [opcode, modRM, 0x4B]
            guard
              X86Decoder.Decoder(mode: .bits64).decode(bytes.span, into: &instruction) == .decoded,
              offered.contains(instruction.feature), HostInstruction.handles(instruction),
              // The oracle's stack pointer.
              !(0..<4).contains(where: {
                instruction.operands[$0].kind == .general && instruction.operands[$0].number == 4
              })
            else { continue }
            let used = Array(bytes.prefix(Int(instruction.length)))
            let name = "\(instruction.operation) \(used.map { String($0, radix: 16) })"
            if !forms.contains(where: { $0.bytes == used }) {
              forms.append(OracleForm(name: name, bytes: used))
            }
          }
        }
      }
    }
    return forms
  }

  /// Gathers of 8-bit indices that shifts make of random ones.
  static var gatherForms: [OracleForm] {
    var forms: [OracleForm] = []
    for opcode in UInt8(0x90)...0x93 {
      for isWide in [false, true] {
        for isLong in [false, true] {
          for scale in UInt8(0)...2 {
            let long: UInt8 = isLong ? 4 : 0
            // vpsrld or vpsrlq ymm1, ymm1, 24 or 56
            let hasWideIndex = opcode & 1 != 0
            let shift: [UInt8] = [
              0xC5, 0xF5, hasWideIndex ? 0x73 : 0x72, 0xD1, hasWideIndex ? 56 : 24,
            ]
            let gather: [UInt8] = [
              0xC4, 0xE2, (isWide ? 0x80 : 0) | 0x61 | long, opcode, 0x14, scale << 6 | 1 << 3 | 6,
            ]
            forms.append(
              OracleForm(
                name: "gather \(gather.map { String($0, radix: 16) })", bytes: shift + gather))
          }
        }
      }
    }
    return forms
  }
}
