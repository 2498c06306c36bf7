/// Host registers by their encoding, and what translated code keeps in them.
///
/// The guest's RAX, RDX, RBX, RBP, RSI, RDI, R8 and R9 live in the host's registers of the same name, RCX, RSP, R12 and R13 in
/// others. RCX is scratch, because JRCXZ is the only branch that neither reads nor writes flags; R10, R11, R14 and R15 of the
/// guest stay in `TranslationState.registers`.
enum Host {
  static let rax: UInt8 = 0
  /// Scratch.
  static let rcx: UInt8 = 1
  static let rsp: UInt8 = 4
  static let rdi: UInt8 = 7
  /// The guest's RSP.
  static let guestRSP: UInt8 = 12
  /// The guest's RCX.
  static let guestRCX: UInt8 = 13
  /// Scratch: the linear address of the running access, or a branch's target.
  static let r14: UInt8 = 14
  /// Counts executed instructions down (`TranslationState.count`).
  static let count: UInt8 = 15

  /// The host register of a guest register; `nil` for those that stay in memory.
  @inline(__always)
  static func register(_ guest: UInt8) -> UInt8? {
    switch guest {
    case 1: guestRCX
    case 4: guestRSP
    case 10, 11, 14, 15: nil
    case 12, 13: guest - 2
    default: guest
    }
  }

  /// The number, among themselves, of guest registers that stay in memory.
  @inline(__always)
  static func memoryRegister(_ guest: UInt8) -> Int {
    switch guest {
    case 10: 0
    case 11: 1
    case 14: 2
    default: 3
    }
  }
}

/// A register or memory operand in a ModRM byte.
struct HostOperand {
  enum Kind: UInt8 { case register, state, stateIndexed, guest, base }
  var kind: Kind
  var number: UInt8 = 0
  var scale: UInt8 = 0
  var displacement: Int32 = 0

  static func register(_ number: UInt8) -> HostOperand {
    HostOperand(kind: .register, number: number)
  }
  /// A field of the CPU's state, off the host's RSP.
  static func state(_ offset: Int) -> HostOperand {
    HostOperand(
      kind: .state, displacement: Int32(truncatingIfNeeded: offset + TranslationState.byteCount))
  }
  /// An element of an array of 64-bit words, or of pieces of another scale, behind the state.
  static func stateArray(_ offset: Int, index: UInt8, scale: UInt8 = 3) -> HostOperand {
    HostOperand(
      kind: .stateIndexed, number: index, scale: scale,
      displacement: Int32(truncatingIfNeeded: offset + TranslationState.byteCount))
  }
  /// [R14 + RCX]: guest memory after a TLB hit.
  static let guest = HostOperand(kind: .guest)
  /// [register + displacement]
  static func base(_ number: UInt8, _ displacement: Int32 = 0) -> HostOperand {
    HostOperand(kind: .base, number: number, displacement: displacement)
  }

  /// What REX.X and REX.B must say.
  var highBits: UInt8 {
    switch kind {
    case .register, .base: number >> 3
    case .state: 0
    case .stateIndexed: (number >> 3) << 1
    case .guest: 1
    }
  }
}

/// The parts of an opcode that precede ModRM.
struct HostOpcode {
  /// 0 primary, 1 0F, 2 0F38, 3 0F3A.
  var map: UInt8 = 0
  var opcode: UInt8
  /// 0, 0x66, 0xF2 or 0xF3.
  var mandatory: UInt8 = 0
  /// A 66 prefix for the operand size.
  var isWord = false
  var isWide = false
  /// A byte register 4…7 is SPL…DIL: there must be a REX prefix.
  var needsREX = false
  var isLocked = false
}

/// Writes machine code through a cursor.
@safe struct Assembler {
  /// Where the next byte goes, in the writable mapping.
  var cursor: UnsafeMutablePointer<UInt8>
  /// How many bytes code has pushed here: the host's RSP is that much below the state.
  var pushed: Int32 = 0

  init(cursor: UnsafeMutablePointer<UInt8>) { unsafe self.cursor = cursor }

  @inline(__always)
  mutating func byte(_ value: UInt8) {
    // SAFETY: the code cache keeps room for a whole block.
    unsafe cursor.pointee = value
    unsafe cursor += 1
  }

  @inline(__always)
  mutating func word32(_ value: Int32) {
    unsafe UnsafeMutableRawPointer(cursor).storeBytes(of: value, as: Int32.self)
    unsafe cursor += 4
  }

  @inline(__always)
  mutating func word64(_ value: UInt64) {
    unsafe UnsafeMutableRawPointer(cursor).storeBytes(of: value, as: UInt64.self)
    unsafe cursor += 8
  }

  mutating func bytes(_ values: UInt8...) { for value in values { byte(value) } }

  /// An immediate's low bytes.
  mutating func immediate(_ value: Int64, byteCount: Int) {
    switch byteCount {
    case 1: byte(UInt8(truncatingIfNeeded: value))
    case 2:
      byte(UInt8(truncatingIfNeeded: value))
      byte(UInt8(truncatingIfNeeded: value >> 8))
    case 4: word32(Int32(truncatingIfNeeded: value))
    case 8: word64(UInt64(bitPattern: value))
    default: break
    }
  }

  /// ModRM, SIB and displacement.
  @inline(__always)
  private mutating func operand(_ reg: UInt8, _ rm: HostOperand) {
    let field = (reg & 7) << 3
    switch rm.kind {
    case .register: byte(0xC0 | field | rm.number & 7)
    case .state:
      let displacement = rm.displacement &+ pushed
      let isShort = displacement < 128
      byte((isShort ? 0x44 : 0x84) | field)
      byte(0x24)
      if isShort {
        byte(UInt8(truncatingIfNeeded: displacement))
      } else {
        word32(displacement)
      }
    case .stateIndexed:
      byte(0x84 | field)
      byte(rm.scale << 6 | (rm.number & 7) << 3 | 4)
      word32(rm.displacement &+ pushed)
    case .guest:
      byte(0x04 | field)
      byte(Host.rcx << 3 | (Host.r14 & 7))
    case .base:
      let isShort = rm.displacement >= -128 && rm.displacement < 128
      let isNone = rm.displacement == 0 && rm.number & 7 != 5
      byte((isNone ? 0 : (isShort ? 0x40 : 0x80)) | field | rm.number & 7)
      if rm.number & 7 == 4 { byte(0x24) }
      if isNone { return }
      if isShort {
        byte(UInt8(truncatingIfNeeded: rm.displacement))
      } else {
        word32(rm.displacement)
      }
    }
  }

  /// An instruction in the legacy encoding.
  @inline(__always)
  mutating func legacy(_ op: HostOpcode, _ reg: UInt8, _ rm: HostOperand) {
    if op.isLocked { byte(0xF0) }
    if op.isWord { byte(0x66) }
    if op.mandatory != 0 { byte(op.mandatory) }
    let rex = (op.isWide ? 8 : 0) | (reg >> 3) << 2 | rm.highBits
    if rex != 0 || op.needsREX { byte(0x40 | rex) }
    if op.map != 0 {
      byte(0x0F)
      if op.map == 2 { byte(0x38) }
      if op.map == 3 { byte(0x3A) }
    }
    byte(op.opcode)
    operand(reg, rm)
  }

  /// An instruction in the three-byte VEX encoding.
  mutating func vex(
    map: UInt8, prefix: UInt8, isWide: Bool, is256: Bool, vvvv: UInt8, opcode: UInt8, _ reg: UInt8,
    _ rm: HostOperand
  ) {
    let high = rm.highBits
    byte(0xC4)
    byte(
      (reg >> 3 == 0 ? 0x80 : 0) | (high & 2 == 0 ? 0x40 : 0) | (high & 1 == 0 ? 0x20 : 0) | map)
    let pp: UInt8 =
      switch prefix {
      case 0x66: 1
      case 0xF3: 2
      case 0xF2: 3
      default: 0
      }
    byte((isWide ? 0x80 : 0) | (~vvvv & 15) << 3 | (is256 ? 4 : 0) | pp)
    byte(opcode)
    operand(reg, rm)
  }

  // MARK: The instructions that the translator itself needs; none touches flags

  /// A 64-bit load.
  @inline(__always)
  mutating func load(_ register: UInt8, _ rm: HostOperand) {
    legacy(HostOpcode(opcode: 0x8B, isWide: true), register, rm)
  }

  @inline(__always)
  mutating func load32(_ register: UInt8, _ rm: HostOperand) {
    legacy(HostOpcode(opcode: 0x8B), register, rm)
  }

  @inline(__always)
  mutating func store(_ register: UInt8, _ rm: HostOperand) {
    legacy(HostOpcode(opcode: 0x89, isWide: true), register, rm)
  }

  mutating func store32(_ register: UInt8, _ rm: HostOperand) {
    legacy(HostOpcode(opcode: 0x89), register, rm)
  }

  /// PEXT register, source, [mask].
  @inline(__always)
  mutating func extract(_ register: UInt8, _ source: UInt8, mask: Int) {
    vex(
      map: 2, prefix: 0xF3, isWide: true, is256: false, vvvv: source, opcode: 0xF5, register,
      .state(mask))
  }

  /// LEA register, [base + index << scale + displacement]; index 4 for none.
  @inline(__always)
  mutating func address(
    _ register: UInt8, base: UInt8?, index: UInt8 = 4, scale: UInt8 = 0, _ displacement: Int32,
    isWide: Bool = true
  ) {
    let rex =
      (isWide ? 8 : 0) | (register >> 3) << 2 | (index >> 3) << 1 | (base ?? 0) >> 3
    if rex != 0 { byte(0x40 | rex) }
    byte(0x8D)
    let field = (register & 7) << 3
    guard let base else {
      byte(0x04 | field)
      byte(scale << 6 | (index & 7) << 3 | 5)
      word32(displacement)
      return
    }
    let isShort = displacement >= -128 && displacement < 128
    let isNone = displacement == 0 && base & 7 != 5
    let mod: UInt8 = isNone ? 0 : (isShort ? 0x40 : 0x80)
    if index == 4, base & 7 != 4 {
      byte(mod | field | base & 7)
    } else {
      byte(mod | field | 4)
      byte(scale << 6 | (index & 7) << 3 | base & 7)
    }
    if isNone { return }
    if isShort { byte(UInt8(truncatingIfNeeded: displacement)) } else { word32(displacement) }
  }

  /// LEA register, [base + distance], by as many as the distance takes.
  mutating func address(_ register: UInt8, base: UInt8, distance: Int64) {
    var base = base
    var left = distance
    repeat {
      let step = max(min(left, Int64(Int32.max)), Int64(Int32.min))
      address(register, base: base, Int32(step))
      base = register
      left -= step
    } while left != 0
  }

  /// MOV register, register.
  mutating func move(_ to: UInt8, _ from: UInt8, isWide: Bool = true) {
    legacy(HostOpcode(opcode: 0x8B, isWide: isWide), to, .register(from))
  }

  /// MOV register, immediate, by the shortest encoding.
  mutating func moveImmediate(_ register: UInt8, _ value: UInt64) {
    if value >> 32 == 0 {
      if register >= 8 { byte(0x41) }
      byte(0xB8 | register & 7)
      word32(Int32(truncatingIfNeeded: value))
    } else if Int64(bitPattern: value) == Int64(Int32(truncatingIfNeeded: value)) {
      legacy(HostOpcode(opcode: 0xC7, isWide: true), 0, .register(register))
      word32(Int32(truncatingIfNeeded: value))
    } else {
      byte(0x48 | register >> 3)
      byte(0xB8 | register & 7)
      word64(value)
    }
  }

  /// MOV DWORD [offset], immediate.
  mutating func storeState32(_ offset: Int, _ value: UInt32) {
    legacy(HostOpcode(opcode: 0xC7), 0, .state(offset))
    word32(Int32(bitPattern: value))
  }

  /// JMP rel32 to an address of the writable mapping; returns where the displacement lies.
  @discardableResult
  mutating func jump(_ target: UnsafeMutablePointer<UInt8>?) -> UnsafeMutablePointer<UInt8> {
    byte(0xE9)
    return unsafe displacement(to: target)
  }

  mutating func displacement(
    to target: UnsafeMutablePointer<UInt8>?
  ) -> UnsafeMutablePointer<UInt8> {
    let place = unsafe cursor
    word32(0)
    if let target = unsafe target { unsafe Assembler.patch(place, target) }
    return unsafe place
  }

  /// Makes the rel32 at `place` lead to `target`.
  static func patch(_ place: UnsafeMutablePointer<UInt8>, _ target: UnsafeMutablePointer<UInt8>) {
    let distance = unsafe Int32(truncatingIfNeeded: target - place - 4)
    unsafe UnsafeMutableRawPointer(place).storeBytes(of: distance, as: Int32.self)
  }
}
