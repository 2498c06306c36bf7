/// 256 bits, one a vector: IRR, ISR or TMR.
struct VectorSet: Equatable {
  private(set) var words: InlineArray<4, UInt64> = .init(repeating: 0)

  static func == (a: VectorSet, b: VectorSet) -> Bool {
    (0..<4).allSatisfy { a.words[$0] == b.words[$0] }
  }

  subscript(vector: UInt8) -> Bool {
    get { words[Int(vector >> 6)] >> UInt64(vector & 63) & 1 != 0 }
    set {
      let mask: UInt64 = 1 << UInt64(vector & 63)
      if newValue { words[Int(vector >> 6)] |= mask } else { words[Int(vector >> 6)] &= ~mask }
    }
  }

  /// The highest vector in the set.
  var highest: UInt8? {
    for index in (0..<4).reversed() where words[index] != 0 {
      return UInt8(index * 64 + 63 - words[index].leadingZeroBitCount)
    }
    return nil
  }

  /// The 32 bits of one of the eight registers that show the set.
  func register(_ index: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: words[index >> 1] >> (index & 1 == 0 ? 0 : 32))
  }

  mutating func setRegister(_ index: Int, _ value: UInt32) {
    let shift: UInt64 = index & 1 == 0 ? 0 : 32
    words[index >> 1] &= ~(0xFFFF_FFFF << shift)
    words[index >> 1] |= UInt64(value) << shift
  }
}
