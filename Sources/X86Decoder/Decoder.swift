/// What became of a decoding.
public enum DecodeOutcome: Sendable {
  case decoded
  /// #UD. `Instruction.length` is how far it was read.
  case invalid
  /// Longer than 15 bytes: #GP(0).
  case tooLong
  /// The bytes end within the instruction.
  case needsMoreBytes
}

/// The x86 instruction decoder (SDM 2A chapter 2, APM 3 chapter 1): bytes to `Instruction`.
public struct Decoder: Sendable {
  public let mode: CodeMode
  let table: OpcodeTable

  public init(mode: CodeMode) {
    self.mode = mode
    table = .shared
  }

  /// Decodes the instruction that `bytes` begin with.
  ///
  /// What lies beyond 15 bytes is not looked at.
  public func decode(_ bytes: Span<UInt8>, into instruction: inout Instruction) -> DecodeOutcome {
    instruction = .empty
    var progress = DecodingProgress(mode: mode, available: bytes.count)
    let outcome = decode(bytes, &progress, &instruction)
    instruction.length = UInt8(truncatingIfNeeded: progress.position)
    return outcome
  }

  @inline(__always)
  private func decode(
    _ bytes: Span<UInt8>, _ progress: inout DecodingProgress, _ instruction: inout Instruction
  ) -> DecodeOutcome {
    guard var opcode = progress.readPrefixes(bytes, &instruction) else { return progress.shortage }
    var tableIndex = 0
    if opcode == 0x0F {
      guard let second = progress.next(bytes) else { return progress.shortage }
      opcode = second
      tableIndex = 1
      instruction.map = .map0F
      if second == 0x38 || second == 0x3A {
        guard let third = progress.next(bytes) else { return progress.shortage }
        opcode = third
        tableIndex = second == 0x38 ? 2 : 3
        instruction.map = second == 0x38 ? .map0F38 : .map0F3A
      }
    } else if opcode == 0xC4 || opcode == 0xC5 || opcode == 0x62 {
      guard let second = progress.peek(bytes) else { return progress.shortage }
      // Outside 64-bit mode these are LES, LDS and BOUND unless ModRM would name a register.
      if progress.is64Bit || second >= 0xC0 {
        if opcode == 0x62 { return decodeEVEX(bytes, &progress, &instruction) }
        let outcome = progress.readVEX(bytes, isThreeByte: opcode == 0xC4, &instruction)
        guard outcome == .decoded else { return outcome }
        opcode = instruction.opcode
        tableIndex = Int(instruction.map.rawValue) + 3
      }
    } else if opcode == 0x90, progress.rex & 1 != 0, progress.prefixClass != 2 {
      // NOP is XCHG with rAX alone; with R8 it exchanges. F3 makes it PAUSE all the same.
      tableIndex = 0
      instruction.opcode = 0x90
      return decode(0x91, tableIndex, bytes, &progress, &instruction)
    }
    instruction.opcode = opcode
    return decode(opcode, tableIndex, bytes, &progress, &instruction)
  }

  /// Finds the row of an opcode, and reads what follows by it.
  @inline(__always)
  private func decode(
    _ opcode: UInt8, _ tableIndex: Int, _ bytes: Span<UInt8>,
    _ progress: inout DecodingProgress, _ instruction: inout Instruction
  ) -> DecodeOutcome {
    let head = table.heads[(tableIndex << 8 | Int(opcode)) << 2 | progress.prefixClass]
    var position = Int(head & 0xFFFFFF)
    let shape = head & OpcodeTable.Shape.mask
    if shape != OpcodeTable.Shape.direct {
      guard let modRM = progress.peek(bytes) else { return progress.shortage }
      let cell =
        shape == OpcodeTable.Shape.byModRM
        ? Int(modRM) : Int(modRM >> 3 & 7) + (modRM >= 0xC0 ? 8 : 0)
      position = Int(table.cells[position + cell])
    }
    while true {
      let number = table.chains[position]
      if number == OpcodeTable.end { return .invalid }
      if table.rows[Int(number)].validity >> progress.validityBit & 1 != 0 {
        return progress.finish(table.rows[Int(number)], bytes, &instruction)
      }
      position += 1
    }
  }
}
