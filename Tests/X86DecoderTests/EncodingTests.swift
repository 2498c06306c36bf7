import Glibc
import Testing
import X86Decoder

/// What cannot be asked of another decoder.
struct EncodingTests {
  private func decode(_ bytes: [UInt8], _ mode: CodeMode = .bits64) -> (DecodeOutcome, Instruction)
  {
    var instruction = Instruction.empty
    let outcome = Decoder(mode: mode).decode(bytes.span, into: &instruction)
    return (outcome, instruction)
  }

  @Test func `over 15 bytes is too long, and fewer than it takes are too few`() {
    #expect(decode([UInt8](repeating: 0x66, count: 15) + [0x90]).0 == .tooLong)
    #expect(decode([UInt8](repeating: 0x66, count: 14) + [0x90]).0 == .decoded)
    #expect(decode([0x0F]).0 == .needsMoreBytes)
    #expect(decode([]).0 == .needsMoreBytes)
  }

  @Test func `every truncation of an instruction needs more bytes`() {
    let bytes: [UInt8] = [0x66, 0x48, 0x81, 0x84, 0x88, 1, 2, 3, 4, 5, 6, 7, 8]
    #expect(decode(bytes).0 == .decoded)
    for count in 0..<bytes.count { #expect(decode(Array(bytes[..<count])).0 == .needsMoreBytes) }
  }

  @Test func `LOCK needs a lockable instruction with a memory destination`() {
    #expect(decode([0xF0, 0x01, 0x00]).0 == .decoded)
    #expect(decode([0xF0, 0x01, 0xC0]).0 == .invalid)
    #expect(decode([0xF0, 0x03, 0x00]).0 == .invalid)
    #expect(decode([0xF0, 0x89, 0x00]).0 == .invalid)
  }

  @Test func `REX counts only next to the opcode, and makes SPL of AH`() {
    #expect(decode([0x48, 0x66, 0x89, 0xC3]).1.operandSize == 2)
    #expect(decode([0x88, 0xE0]).1.operands[1].number == 16)
    #expect(decode([0x40, 0x88, 0xE0]).1.operands[1].number == 4)
  }

  @Test func `C4, C5 and 62 are LES, LDS and BOUND outside 64-bit mode`() {
    #expect(decode([0xC4, 0x00], .bits32).1.operation == .les)
    #expect(decode([0xC5, 0x00], .bits16).1.operation == .lds)
    #expect(decode([0x62, 0x00], .bits32).1.operation == .bound)
    #expect(decode([0xC5, 0xF8, 0x77], .bits32).1.operation == .vzeroupper)
    #expect(decode([0x66, 0xC5, 0xF8, 0x77]).0 == .invalid)
  }

  @Test func `legacy SSE operands are aligned and MOVUPS is not`() {
    #expect(decode([0x0F, 0x58, 0x00]).1.traits.contains(.alignedOperand))
    #expect(!decode([0x0F, 0x10, 0x00]).1.traits.contains(.alignedOperand))
    #expect(!decode([0xC5, 0xF8, 0x58, 0x00]).1.traits.contains(.alignedOperand))
    #expect(decode([0xC5, 0xF8, 0x28, 0x00]).1.traits.contains(.alignedOperand))
  }

  @Test func `descriptions are in Intel syntax`() {
    #expect(
      decode([0x48, 0x8B, 0x44, 0x88, 0x10]).1.description == "mov rax, qword ds:[rax+rcx*4+0x10]")
    #expect(decode([0xF3, 0xA4]).1.description == "rep movs byte es:[rdi], byte ds:[rsi]")
    #expect(decode([0x74, 0xFE]).1.description == "jz $+0x0")
    #expect(decode([0xC5, 0xFC, 0x58, 0xCA]).1.description == "vaddps ymm1, ymm0, ymm2")
  }

  @Test func `decoding is fast`() throws {
    let text = try ELFText(path: "/lib/x86_64-linux-gnu/libc.so.6").bytes
    let decoder = Decoder(mode: .bits64)
    let span = text.span
    var instruction = Instruction.empty
    var count = 0
    // CPU time, since tests run side by side.
    let start = threadTime()
    for _ in 0..<3 {
      var position = 0
      while position + 15 <= span.count {
        let outcome = decoder.decode(span.extracting(position..<position + 15), into: &instruction)
        position += outcome == .decoded ? Int(instruction.length) : 1
        count += 1
      }
    }
    let nanoseconds = (threadTime() - start) / count
    print("decoding: \(count) instructions, \(nanoseconds) ns each")
  }
}

private func threadTime() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}
