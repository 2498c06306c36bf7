import X86
import X86Decoder

/// What must be remembered of an x87 instruction, for those who ask for the last one's opcode and addresses.
enum X87Note {
  private static let isNoted: UInt32 = 1 << 31

  /// - Parameters:
  ///   - opcode: FOP, 11 bits.
  ///   - offset: where the instruction starts in its page.
  static func instruction(opcode: UInt16, offset: Int) -> UInt32 {
    isNoted | UInt32(offset) << 11 | UInt32(opcode & 0x7FF)
  }
  static func opcode(_ note: UInt32) -> UInt16 { UInt16(note & 0x7FF) }
  static func offset(_ note: UInt32) -> UInt64 { UInt64(note >> 11 & 0xFFF) }

  /// That an instruction had a memory operand, in a segment.
  static func operand(segment: UInt8) -> UInt32 { isNoted | UInt32(segment) }
  static func segment(_ note: UInt32) -> Int { Int(note & 7) }
}

/// x87 instructions, as they stand, on the guest's registers in the host's.
///
/// An exception that is pending is the host's too: it faults where the guest's instruction would, which leads to the
/// interpreter.
extension BlockEmitter {
  mutating func emitX87(_ i: Instruction) -> Outcome {
    // Where SSE can be used CR0.TS and CR0.EM are clear; where the host has AVX it has XSAVE.
    guard key.has(TranslationKey.sse), HostUnit.hasAVX, HostInstruction.handles(i) else {
      return .refused
    }
    let host = HostInstruction(from: i, is64Bit: is64Bit)
    // FNINIT, and what loads or stores the environment.
    if host.opcode == 0x3E3 || host.memorySize > 10 { return .refused }
    loadX87()
    if host.isWait {
      noteFault(i)
      code.byte(0x9B)
      return .emitted
    }
    if i.hasMemoryOperand {
      guard host.memorySize > 0, emitLinear(i) else { return .refused }
      emitLookUp(i, size: Int(host.memorySize), isWrite: host.writes)
      noteFault(i)
      code.legacy(HostOpcode(opcode: i.opcode), i.modRM >> 3 & 7, .guest)
    } else {
      noteFault(i)
      code.bytes(i.opcode, 0xC0 | i.modRM)
    }
    if !host.isControl { emitNotes(i, host) }
    return .emitted
  }

  /// Leaves notes of a completed instruction. Uses R14 and RCX.
  private mutating func emitNotes(_ i: Instruction, _ host: HostInstruction) {
    if !hasX87Page {
      hasX87Page = true
      code.load(Host.rcx, .state(StateOffset.codePage))
      code.store(Host.rcx, .state(StateOffset.x87Page))
    }
    code.storeState32(
      StateOffset.x87Note, X87Note.instruction(opcode: host.opcode, offset: offset))
    guard i.hasMemoryOperand else { return }
    emitOffset(i)
    code.store(Host.r14, .state(StateOffset.x87Data))
    code.storeState32(StateOffset.x87DataNote, X87Note.operand(segment: i.segment))
  }

  /// Has the guest's x87 registers in the host's, once a block.
  mutating func loadX87() {
    guard !x87Loaded else { return }
    x87Loaded = true
    code.load32(Host.rcx, .state(StateOffset.x87Absent))
    code.bytes(0xE3, 0x05, 0xE8)  // jrcxz +5; call
    _ = unsafe code.displacement(to: stubs.loadX87)
  }
}

extension CPU {
  /// Takes over the notes that translated code left.
  @inline(never)
  func noteX87Pointers() {
    let registers = env.host.registers
    let note = translation.x87Note
    registers.pointers.opcode = X87Note.opcode(note)
    registers.pointers.instruction =
      (translation.x87Page &+ X87Note.offset(note)) & state.linearMask
    registers.pointers.codeSelector = state.segments[1].selector
    translation.x87Note = 0
    let operand = translation.x87DataNote
    guard operand != 0 else { return }
    registers.pointers.data = translation.x87Data
    registers.pointers.dataSelector = state.segments[X87Note.segment(operand)].selector
    translation.x87DataNote = 0
  }
}
