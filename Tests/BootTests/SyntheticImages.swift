/// A small bzImage that satisfies the boot protocol; each field can be spoilt.
struct SyntheticBzImage {
  var bytes: [UInt8]

  static let setupByteCount = 5 * 512
  static let protectedByteCount = 0x2000

  init(is64Bit: Bool = true) {
    bytes = [UInt8](repeating: 0, count: Self.setupByteCount + Self.protectedByteCount)
    for index in Self.setupByteCount..<bytes.count { bytes[index] = UInt8(index * 7 & 0xFF) }
    put(UInt8(4), at: 0x1F1)
    put(UInt32(Self.protectedByteCount / 16), at: 0x1F4)
    put(UInt16(0xAA55), at: 0x1FE)
    put(UInt16(0x6AEB), at: 0x200)
    put(UInt32(0x5372_6448), at: 0x202)
    put(UInt16(0x20F), at: 0x206)
    put(UInt8(1), at: 0x211)
    put(UInt32(0x10_0000), at: 0x214)
    put(UInt32(0x7FFF_FFFF), at: 0x22C)
    put(UInt32(0x20_0000), at: 0x230)
    put(UInt8(1), at: 0x234)
    put(UInt8(is64Bit ? 21 : 13), at: 0x235)
    put(UInt16(is64Bit ? 0b11 : 0), at: 0x236)
    put(UInt32(2047), at: 0x238)
    put(UInt32(0x100), at: 0x248)
    put(UInt32(0x1000), at: 0x24C)
    put(UInt64(0x100_0000), at: 0x258)
    put(UInt32(0x40_0000), at: 0x260)
  }

  mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    for index in 0..<MemoryLayout<T>.size {
      bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index))
    }
  }

  func with<T: FixedWidthInteger>(_ value: T, at offset: Int) -> SyntheticBzImage {
    var copy = self
    copy.put(value, at: offset)
    return copy
  }
}

/// A small ELF kernel with two segments and, if asked for, PVH notes.
struct SyntheticELF {
  struct Relocation {
    var words: [UInt32]
  }

  var bytes: [UInt8] = []

  static let address: UInt64 = 0x100_0000
  static let secondAddress: UInt64 = 0x100_3000
  /// Offsets of the first program header's fields, for spoiling.
  static func header(_ index: Int, is64Bit: Bool) -> Int {
    (is64Bit ? 64 : 52) + index * (is64Bit ? 56 : 32)
  }

  init(is64Bit: Bool = true, pvhEntry: UInt32? = nil, relocation: Relocation? = nil) {
    var notes: [UInt8] = []
    if let pvhEntry { notes += Self.note(18, [pvhEntry]) }
    if let relocation { notes += Self.note(19, relocation.words) }
    append([0x7F, 0x45, 0x4C, 0x46, is64Bit ? 2 : 1, 1, 1] + [UInt8](repeating: 0, count: 9))
    word(2)
    word(is64Bit ? 62 : 3)
    long(1)
    address(Self.address + 0x10, is64Bit)
    address(is64Bit ? 64 : 52, is64Bit)
    address(0, is64Bit)
    long(0)
    word(is64Bit ? 64 : 52)
    word(is64Bit ? 56 : 32)
    word(3)
    for _ in 0..<3 { word(0) }
    let body = UInt64(0x400)
    programHeader(is64Bit, type: 1, offset: body, physical: Self.address, 0x200, 0x1000)
    programHeader(
      is64Bit, type: 1, offset: body + 0x200, physical: Self.secondAddress, 0x100, 0x2000)
    programHeader(
      is64Bit, type: 4, offset: 0x200, physical: 0, UInt64(notes.count), UInt64(notes.count),
      alignment: 4)
    append([UInt8](repeating: 0, count: 0x200 - bytes.count))
    append(notes)
    append([UInt8](repeating: 0, count: 0x400 - bytes.count))
    append((0..<0x300).map { UInt8(truncatingIfNeeded: $0 * 5 + 1) })
  }

  private static func note(_ type: UInt32, _ words: [UInt32]) -> [UInt8] {
    ([4, UInt32(4 * words.count), type] + [0x006E_6558] + words).flatMap { word in
      (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) }
    }
  }

  private mutating func append(_ values: [UInt8]) { bytes += values }
  private mutating func word(_ value: UInt16) { append([UInt8(value & 0xFF), UInt8(value >> 8)]) }
  private mutating func long(_ value: UInt32) {
    append((0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) })
  }
  private mutating func address(_ value: UInt64, _ is64Bit: Bool) {
    append((0..<(is64Bit ? 8 : 4)).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) })
  }

  private mutating func programHeader(
    _ is64Bit: Bool, type: UInt32, offset: UInt64, physical: UInt64, _ file: UInt64,
    _ memory: UInt64, alignment: UInt64 = 0x1000
  ) {
    long(type)
    if is64Bit { long(7) }
    address(offset, is64Bit)
    address(physical | (is64Bit ? 0xFFFF_FFFF_8000_0000 : 0xC000_0000), is64Bit)
    address(physical, is64Bit)
    address(file, is64Bit)
    address(memory, is64Bit)
    if !is64Bit { long(7) }
    address(alignment, is64Bit)
  }

  mutating func put(_ value: UInt64, at offset: Int, byteCount: Int) {
    for index in 0..<byteCount {
      bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
    }
  }
}
