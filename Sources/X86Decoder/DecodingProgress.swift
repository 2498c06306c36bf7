/// One decoding under way: where it stands, and what the prefixes said.
struct DecodingProgress {
  let mode: CodeMode
  let is64Bit: Bool
  /// How many bytes may be read, 15 at most.
  let limit: Int
  var position = 0
  /// REX's low four bits (W R X B), or VEX's.
  var rex: UInt8 = 0
  var hasREX = false
  /// VEX.L
  var isLong = false
  var isVEX = false
  /// Whether VEX.vvvv, as encoded, is anything but 1111.
  var hasVVVV = false
  /// None, 66, F3, F2.
  var prefixClass = 0
  /// What the address size and the segment override are.
  var segmentOverride: UInt8 = Self.noSegment
  var operandSize: UInt8 = 0

  static let noSegment: UInt8 = 0xFF

  @inline(__always)
  init(mode: CodeMode, available: Int) {
    self.mode = mode
    is64Bit = mode == .bits64
    limit = min(available, 15)
  }

  /// Why the bytes did not suffice.
  var shortage: DecodeOutcome { limit == 15 ? .tooLong : .needsMoreBytes }

  /// REX.W or VEX.W.
  var isWide: Bool { rex & 8 != 0 }

  /// The bit of `OpcodeRow.validity` that applies.
  @inline(__always)
  var validityBit: UInt8 {
    (is64Bit ? 4 : 0) | (rex >> 2 & 2) | (isLong ? 1 : 0)
  }

  @inline(__always)
  func peek(_ bytes: Span<UInt8>) -> UInt8? {
    position < limit ? bytes[position] : nil
  }

  @inline(__always)
  mutating func next(_ bytes: Span<UInt8>) -> UInt8? {
    guard position < limit else { return nil }
    defer { position &+= 1 }
    return bytes[position]
  }

  /// A little-endian number of 1, 2, 4 or 8 bytes, zero-extended.
  @inline(__always)
  mutating func number(_ bytes: Span<UInt8>, byteCount: Int) -> UInt64? {
    guard byteCount <= limit &- position else { return nil }
    var value: UInt64 = 0
    var shift: UInt64 = 0
    for offset in position..<position &+ byteCount {
      value |= UInt64(bytes[offset]) &<< shift
      shift &+= 8
    }
    position &+= byteCount
    return value
  }

  /// The same, sign-extended.
  @inline(__always)
  mutating func signedNumber(_ bytes: Span<UInt8>, byteCount: Int) -> Int64? {
    guard let value = number(bytes, byteCount: byteCount) else { return nil }
    let unused = Int64(64 &- 8 &* byteCount)
    return (Int64(bitPattern: value) &<< unused) &>> unused
  }
}
