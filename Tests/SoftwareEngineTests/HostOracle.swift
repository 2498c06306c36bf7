import CHost
import Glibc
import HostSystem

/// Runs instruction bytes natively in this process, by a trampoline of its own. RSP may not be used.
final class HostOracle {
  enum Outcome: Equatable { case completed, arithmeticFault, otherFault }

  /// Where guest and host alike see the memory operand.
  static let window: UInt = 0x20_0000

  let context: UnsafeMutableRawPointer
  private let code: ExecutableMemory
  private let slot: Int32
  private static let entry = 64
  private static let flags = 128
  private static let status = 136
  /// An XSAVE area in the standard format, AVX included.
  private static let vectors = 192
  static let imageByteCount = 832
  private static let hasAVX = HostCPU.hasAVX

  /// FXRSTOR64 or FXSAVE64 of [rdi + 192]; where the host has AVX, XRSTOR64 or XSAVE64 with EAX 7, EDX 0.
  private static func move(isSave: Bool) -> [UInt8] {
    guard hasAVX else { return [0x48, 0x0F, 0xAE, isSave ? 0x87 : 0x8F, 0xC0, 0, 0, 0] }
    return [0xB8, 7, 0, 0, 0, 0xBA, 0, 0, 0, 0, 0x48, 0x0F, 0xAE, isSave ? 0xA7 : 0xAF]
      + [0xC0, 0, 0, 0]
  }

  init() throws {
    code = try ExecutableMemory(byteCount: 4096)
    context = .allocate(byteCount: 1024, alignment: 64)
    memset(context, 0, 1024)
    let mapped = mmap(
      UnsafeMutableRawPointer(bitPattern: Self.window), 8192, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)
    guard mapped != MAP_FAILED else { throw HostError.current("mmap") }
    let start = UInt(bitPattern: code.executable)
    slot = chost_register_stubs(start, 4096, start)
    // Fault exit: the context lies on the stack.
    var bytes: [UInt8] = [0x5F, 0x89, 0x87, 0x88, 0, 0, 0]  // pop rdi; mov [rdi + 136], eax
    bytes += Self.move(isSave: true)
    bytes += Self.leave
    write(bytes, at: 0)
  }

  deinit {
    chost_unregister_stubs(slot)
    munmap(UnsafeMutableRawPointer(bitPattern: Self.window), 8192)
    context.deallocate()
  }

  /// fninit; ldmxcsr [rsp - 8] with 1F80; pop r15…r12, rbp, rbx; ret
  private static let leave: [UInt8] = [
    0xDB, 0xE3, 0xC7, 0x44, 0x24, 0xF8, 0x80, 0x1F, 0, 0, 0x0F, 0xAE, 0x54, 0x24, 0xF8,
    0x41, 0x5F, 0x41, 0x5E, 0x41, 0x5D, 0x41, 0x5C, 0x5D, 0x5B, 0xC3,
  ]

  private func write(_ bytes: [UInt8], at offset: Int) {
    for (index, byte) in bytes.enumerated() {
      code.writable.storeBytes(of: byte, toByteOffset: offset + index, as: UInt8.self)
    }
  }

  /// Runs `instruction` on the registers, flags and FXSAVE64 image given; they become the results.
  func run(
    _ instruction: [UInt8], registers: inout [UInt64], flags: inout UInt64, image: inout [UInt8]
  ) -> Outcome {
    for number in 0..<16 {
      context.storeBytes(of: registers[number], toByteOffset: number * 8, as: UInt64.self)
    }
    context.storeBytes(of: flags | 2, toByteOffset: Self.flags, as: UInt64.self)
    context.storeBytes(of: 0, toByteOffset: Self.status, as: UInt64.self)
    image.withUnsafeBytes {
      (context + Self.vectors).copyMemory(from: $0.baseAddress!, byteCount: Self.imageByteCount)
    }
    var bytes: [UInt8] = [0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, 0x57]
    bytes += Self.move(isSave: false)
    bytes += [0xFF, 0xB7, 0x80, 0, 0, 0, 0x9D]  // push [rdi + 128]; popfq
    for number in UInt8(0)..<16 where number != 4 && number != 7 {
      bytes += [number >= 8 ? 0x4C : 0x48, 0x8B, 0x47 | (number & 7) << 3, number * 8]
    }
    bytes += [0x48, 0x8B, 0x7F, 56] + instruction + [0x48, 0x87, 0x3C, 0x24]
    for number in UInt8(0)..<16 where number != 4 && number != 7 {
      bytes += [number >= 8 ? 0x4C : 0x48, 0x89, 0x47 | (number & 7) << 3, number * 8]
    }
    bytes += [0x9C, 0x8F, 0x87, 0x80, 0, 0, 0, 0x58, 0x48, 0x89, 0x47, 56]
    bytes += Self.move(isSave: true) + [0xFC]  // cld
    write(bytes + Self.leave, at: Self.entry)
    let start = UInt(bitPattern: code.executable) + UInt(Self.entry)
    unsafeBitCast(start, to: (@convention(c) (UnsafeMutableRawPointer) -> Void).self)(context)
    for offset in 0..<Self.imageByteCount {
      image[offset] = context.load(fromByteOffset: Self.vectors + offset, as: UInt8.self)
    }
    switch context.load(fromByteOffset: Self.status, as: UInt32.self) {
    case 0: break
    case 1: return .arithmeticFault
    default: return .otherFault
    }
    for number in 0..<16 where number != 4 {
      registers[number] = context.load(fromByteOffset: number * 8, as: UInt64.self)
    }
    flags = context.load(fromByteOffset: Self.flags, as: UInt64.self) & 0x8D5
    return .completed
  }
}
