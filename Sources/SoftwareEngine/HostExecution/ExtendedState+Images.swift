import Glibc

/// Conversions to and from FXSAVE and XSAVE images (SDM 1 10.5, 13.4). AVX lies at 576 in the standard
/// and in the compacted format: nothing comes between the header and it.
extension ExtendedState {
  /// - Parameter isWide: REX.W: 64-bit pointers without selectors.
  func writeX87(to image: UnsafeMutableRawPointer, isWide: Bool) {
    // SAFETY: here and below, images are 832 bytes long.
    unsafe image.copyMemory(from: base, byteCount: 6)
    unsafe image.storeBytes(of: pointers.opcode, toByteOffset: 6, as: UInt16.self)
    var instruction = pointers.instruction
    var data = pointers.data
    if !isWide {
      instruction = instruction & 0xFFFF_FFFF | UInt64(pointers.codeSelector) << 32
      data = data & 0xFFFF_FFFF | UInt64(pointers.dataSelector) << 32
    }
    unsafe image.storeBytes(of: instruction, toByteOffset: 8, as: UInt64.self)
    unsafe image.storeBytes(of: data, toByteOffset: 16, as: UInt64.self)
    unsafe (image + 32).copyMemory(from: base + Offset.stack, byteCount: 128)
  }

  func readX87(from image: UnsafeRawPointer, isWide: Bool) {
    unsafe base.copyMemory(from: image, byteCount: 5)
    unsafe (base + Offset.stack).copyMemory(from: image + 32, byteCount: 128)
    let instruction = unsafe image.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    let data = unsafe image.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
    pointers.opcode = unsafe image.loadUnaligned(fromByteOffset: 6, as: UInt16.self) & 0x7FF
    pointers.instruction = isWide ? instruction : instruction & 0xFFFF_FFFF
    pointers.data = isWide ? data : data & 0xFFFF_FFFF
    pointers.codeSelector = isWide ? 0 : UInt16(truncatingIfNeeded: instruction >> 32)
    pointers.dataSelector = isWide ? 0 : UInt16(truncatingIfNeeded: data >> 32)
  }

  func writeMXCSR(to image: UnsafeMutableRawPointer) {
    unsafe image.storeBytes(of: mxcsr, toByteOffset: 24, as: UInt32.self)
    unsafe image.storeBytes(of: ExtendedState.mxcsrMask, toByteOffset: 28, as: UInt32.self)
  }

  /// The bits of MXCSR that exist.
  static let mxcsrMask: UInt32 = 0xFFFF

  /// Copies XMM0… (`high` false) or the upper halves of YMM0…
  func writeVectors(to image: UnsafeMutableRawPointer, high: Bool, count: Int = 16) {
    for number in 0..<count {
      let register = unsafe base + Offset.vectors + number * 32 + (high ? 16 : 0)
      unsafe (image + (high ? 576 : 160) + number * 16).copyMemory(from: register, byteCount: 16)
    }
  }

  func readVectors(from image: UnsafeRawPointer, high: Bool, count: Int = 16) {
    for number in 0..<count {
      let register = unsafe base + Offset.vectors + number * 32 + (high ? 16 : 0)
      unsafe register.copyMemory(from: image + (high ? 576 : 160) + number * 16, byteCount: 16)
    }
  }

  /// A whole XSAVE image in the standard format.
  func standardImage() -> [UInt8] {
    var image = [UInt8](repeating: 0, count: 832)
    unsafe image.withUnsafeMutableBytes { bytes in
      guard let start = bytes.baseAddress else { return }
      unsafe writeX87(to: start, isWide: true)
      unsafe writeMXCSR(to: start)
      unsafe writeVectors(to: start, high: false)
      unsafe writeVectors(to: start, high: true)
      unsafe start.storeBytes(of: componentsInUse, toByteOffset: 512, as: UInt64.self)
    }
    return image
  }

  /// Takes an XSAVE image in the standard format, of at least the 512 bytes of FXSAVE; a component whose
  /// bit in XSTATE_BV is clear becomes initial, save that an image without any bits counts as one of
  /// FXSAVE.
  func restore(_ area: [UInt8]) -> String? {
    guard area.count >= 512 else { return "an extended state of \(area.count) bytes" }
    let image = area + [UInt8](repeating: 0, count: max(0, 832 - area.count))
    return unsafe image.withUnsafeBytes { bytes -> String? in
      guard let start = bytes.baseAddress else { return nil }
      let value = unsafe start.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
      guard value & ~ExtendedState.mxcsrMask == 0 else { return "reserved bits of MXCSR" }
      var components = unsafe start.loadUnaligned(fromByteOffset: 512, as: UInt64.self)
      if components == 0 { components = 3 }
      mxcsr = value
      initializeX87()
      clearVectors(low: true, high: true)
      if components & 1 != 0 { unsafe readX87(from: start, isWide: true) }
      if components & 2 != 0 { unsafe readVectors(from: start, high: false) }
      if components & 4 != 0 { unsafe readVectors(from: start, high: true) }
      return nil
    }
  }
}
