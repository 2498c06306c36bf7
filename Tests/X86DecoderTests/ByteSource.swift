/// Byte strings to decode: random ones, and ones built like instructions.
struct ByteSource {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// SplitMix64.
  private mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }

  private mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: next() >> 24) }
  private mutating func below(_ count: UInt64) -> UInt64 { (next() >> 16) % count }

  mutating func random() -> [UInt8] { (0..<15).map { _ in byte() } }

  /// Prefixes now and then, an escape or VEX prefix often, then anything.
  mutating func biased() -> [UInt8] {
    let prefixes: [UInt8] = [0x66, 0x67, 0xF2, 0xF3, 0xF0, 0x2E, 0x64, 0x66, 0xF3]
    var bytes: [UInt8] = []
    for _ in 0..<[0, 0, 0, 1, 1, 2][Int(below(6))] {
      bytes.append(prefixes[Int(below(UInt64(prefixes.count)))])
    }
    let kind = below(12)
    if kind < 9, below(3) == 0 { bytes.append(0x40 | byte() & 15) }
    switch kind {
    case 0, 1: break
    case 2...5: bytes.append(0x0F)
    case 6: bytes += [0x0F, 0x38]
    case 7: bytes += [0x0F, 0x3A]
    case 8: bytes.append(0xD8 | byte() & 7)
    case 9: bytes += [0xC5, byte() | (below(2) == 0 ? 0x78 : 0)]
    case 10:
      bytes += [
        0xC4, 0xE0 & (byte() | 0xC0) | UInt8(1 + below(3)), byte() | (below(2) == 0 ? 0x78 : 0),
      ]
    default: bytes += [0x62, 0xF0 | UInt8(1 + below(3)), byte() | 4, byte()]
    }
    while bytes.count < 20 { bytes.append(byte()) }
    return bytes
  }
}
