/// The pointers in the images of FNSTENV and FNSAVE (SDM 1 figures 8-9…8-12).
extension ExtendedState.Pointers {
  /// - Parameter image: an environment of 28 bytes where `isWide`, else of 14.
  init(from image: UnsafeRawPointer, isWide: Bool, isReal: Bool) {
    // SAFETY: the image is as long as the widest field needs.
    func word(_ slot: Int) -> UInt32 {
      unsafe isWide
        ? image.loadUnaligned(fromByteOffset: slot * 4, as: UInt32.self)
        : UInt32(image.loadUnaligned(fromByteOffset: slot * 2, as: UInt16.self))
    }
    self.init()
    let mixed = word(4)
    if isReal {
      opcode = UInt16(mixed & 0x7FF)
      instruction = UInt64(word(3) & 0xFFFF | (mixed >> 12) << 16)
      data = UInt64(word(5) & 0xFFFF | (word(6) >> 12) << 16)
    } else {
      codeSelector = UInt16(truncatingIfNeeded: mixed)
      opcode = UInt16(mixed >> 16 & 0x7FF)
      instruction = UInt64(word(3))
      data = UInt64(word(5))
      dataSelector = UInt16(truncatingIfNeeded: word(6))
    }
  }

  func write(to image: UnsafeMutableRawPointer, isWide: Bool, isReal: Bool) {
    // SAFETY: as above.
    func put(_ slot: Int, _ value: UInt32) {
      if isWide {
        unsafe image.storeBytes(of: value, toByteOffset: slot * 4, as: UInt32.self)
      } else {
        unsafe image.storeBytes(
          of: UInt16(truncatingIfNeeded: value), toByteOffset: slot * 2, as: UInt16.self)
      }
    }
    var code = UInt32(truncatingIfNeeded: instruction)
    var operand = UInt32(truncatingIfNeeded: data)
    if isReal {
      // Linear addresses, the low half and the rest apart.
      code = code &+ UInt32(codeSelector) << 4
      operand = operand &+ UInt32(dataSelector) << 4
      put(3, code & 0xFFFF)
      put(4, UInt32(opcode) | (code >> 16) << 12)
      put(5, operand & 0xFFFF)
      put(6, (operand >> 16) << 12)
    } else {
      put(3, code)
      put(4, UInt32(codeSelector) | UInt32(opcode) << 16)
      put(5, operand)
      put(6, isWide ? 0xFFFF_0000 | UInt32(dataSelector) : UInt32(dataSelector))
    }
  }
}
