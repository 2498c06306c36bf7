import X86
import X86Decoder

/// Vector instructions that access memory element by element: gathers and masked moves. Elements that
/// the mask leaves out are not accessed and cannot fault (SDM 2C VGATHERDPS, VMASKMOV).
extension CPU {
  private typealias Offset = ExtendedState.Offset

  /// What VEX instructions need first: XCR0 with SSE and AVX, CR0.TS clear (SDM 2A 2.4).
  func refuseAVX() -> Status? {
    guard state.cr4 & CR4.osXSAVE.rawValue != 0, state.xcr0 & 6 == 6 else {
      return raise(.invalidOpcode)
    }
    guard state.cr0 & CR0.taskSwitched.rawValue == 0 else { return raise(.deviceNotAvailable) }
    return nil
  }

  // MARK: Gathers

  /// An element's fault leaves the finished elements loaded and their masks cleared, so that the
  /// instruction goes on from there. An exit to the machine changes nothing: the instruction runs again
  /// from its start, with the answers so far.
  func gather(_ op: Micro, _ instruction: Instruction) -> Status {
    if let refusal = refuseAVX() { return refusal }
    let registers = env.host.registers
    let isWide = instruction.prefixes.contains(.rexW)
    let hasWideIndex = instruction.opcode & 1 != 0
    let size = isWide ? 8 : 4
    let count = Int(instruction.vectorLength) / (isWide || hasWideIndex ? 8 : 4)
    let result = Place(instruction.reg)
    let mask = Place(instruction.vvvv)
    let indices = Place(instruction.index)
    let start = register(at: op.base, UInt64.self) &+ op.displacement
    var loaded = registers.vector(result)
    var left = registers.vector(mask)
    for element in 0..<(32 / size) {
      let isSelected = element < count && left[element * size + size - 1] & 0x80 != 0
      for byte in 0..<size { left[element * size + byte] = isSelected ? 0xFF : 0 }
      if element >= count { for byte in 0..<size { loaded[element * size + byte] = 0 } }
    }
    for element in 0..<count where left[element * size] != 0 {
      let index: UInt64 =
        hasWideIndex
        ? registers.load(indices.offset + element * 8)
        : UInt64(
          bitPattern: Int64(registers.load(indices.offset + element * 4, Int32.self)))
      let address = (start &+ index &<< UInt64(op.scale)) & op.addressMask
      guard let value = readSized(op.segment, address, UInt8(size)) else {
        if state.stop == .fault {
          registers.setVector(result, loaded)
          registers.setVector(mask, left)
        }
        return .stop
      }
      for byte in 0..<size {
        loaded[element * size + byte] = UInt8(truncatingIfNeeded: value >> UInt64(byte * 8))
        left[element * size + byte] = 0
      }
    }
    registers.setVector(result, loaded)
    registers.setVector(mask, left)
    return .next
  }

  // MARK: Masked moves

  /// VMASKMOVPS, VMASKMOVPD, VPMASKMOVD, VPMASKMOVQ. A store looks at all its elements before it writes
  /// the first.
  func moveMasked(_ op: Micro, _ instruction: Instruction) -> Status {
    if let refusal = refuseAVX() { return refusal }
    let registers = env.host.registers
    let isInteger = instruction.opcode >= 0x80
    let isWide =
      isInteger ? instruction.prefixes.contains(.rexW) : instruction.opcode & 1 != 0
    let isStore = instruction.opcode & 2 != 0
    let size = isWide ? 8 : 4
    let count = Int(instruction.vectorLength) / size
    let mask = registers.vector(Place(instruction.vvvv))
    let start = effectiveAddress(op)
    func address(_ element: Int) -> UInt64 { (start &+ UInt64(element * size)) & op.addressMask }
    func isSelected(_ element: Int) -> Bool { mask[element * size + size - 1] & 0x80 != 0 }
    if isStore {
      for element in 0..<count where isSelected(element) {
        let place = address(element)
        guard let linear = linearAddress(op.segment, place, UInt64(size), .write),
          probeWrite(linear, UInt64(size), dataRight, segment: op.segment)
        else { return .stop }
      }
      let source = Place(instruction.reg).offset
      for element in 0..<count where isSelected(element) {
        let value: UInt64 =
          isWide
          ? registers.load(source + element * 8)
          : UInt64(registers.load(source + element * 4, UInt32.self))
        guard writeSized(op.segment, address(element), UInt8(size), value) else { return .stop }
      }
      return .next
    }
    var loaded = InlineArray<32, UInt8>(repeating: 0)
    for element in 0..<count where isSelected(element) {
      guard let value = readSized(op.segment, address(element), UInt8(size)) else { return .stop }
      for byte in 0..<size {
        loaded[element * size + byte] = UInt8(truncatingIfNeeded: value >> UInt64(byte * 8))
      }
    }
    registers.setVector(Place(instruction.reg), loaded)
    return .next
  }
}

/// Where a vector register lies in `ExtendedState`.
private struct Place {
  let offset: Int
  init(_ number: UInt8) { offset = ExtendedState.Offset.vectors + Int(number & 15) * 32 }
}

extension ExtendedState {
  fileprivate func vector(_ place: Place) -> InlineArray<32, UInt8> {
    load(place.offset, InlineArray<32, UInt8>.self)
  }

  fileprivate func setVector(_ place: Place, _ value: InlineArray<32, UInt8>) {
    store(value, place.offset)
  }
}
