import CHost
import HostSystem

/// A compiled instruction and what its caller has to prepare.
struct Stub {
  var entry: UInt
  var instruction: HostInstruction
}

/// Compiles instructions to machine code that runs them on an `ExtendedState` in RDI, kept in RBX.
@safe final class StubCompiler {
  private typealias Offset = ExtendedState.Offset

  private let memory: ExecutableMemory
  private let slot: Int32
  private let vectorsAreWide: Bool
  private var position = 0
  private static let byteCount = 32 << 20

  init?(vectorsAreWide: Bool) {
    guard let memory = try? ExecutableMemory(byteCount: StubCompiler.byteCount) else { return nil }
    self.memory = memory
    self.vectorsAreWide = vectorsAreWide
    let start = unsafe UInt(bitPattern: memory.executable)
    slot = chost_register_stubs(start, UInt(memory.byteCount), start)
    guard slot >= 0 else { return nil }
    emitFaultExit()
  }

  deinit { chost_unregister_stubs(slot) }

  /// Returns the address of the code, or `nil` when the memory is full.
  func compile(_ i: HostInstruction) -> UInt? {
    guard position + 1024 < memory.byteCount else { return nil }
    let entry = unsafe UInt(bitPattern: memory.executable) + UInt(position)
    emitPrologue(i)
    emit(i.bytes.array)
    emitEpilogue(i)
    return entry
  }

  /// Whether there may not be room for the instructions of another block.
  var isNearlyFull: Bool { position + (Block.maximumCount + 1) * 1024 > memory.byteCount }

  /// Starts over behind the fault exit.
  func reset() {
    position = 0
    emitFaultExit()
  }

  // MARK: Parts

  /// Where the signal handler goes on, with a status in EAX.
  private func emitFaultExit() {
    emit([0x89, 0x83], Offset.status)  // mov [rbx + status], eax
    // Only arithmetic faults came with the guest's MXCSR.
    emit([0x83, 0xF8, 0x01, 0x75, 0x07])  // cmp eax, 1; jne +7
    emit([0x0F, 0xAE, 0x9B], Offset.mxcsr)  // stmxcsr
    emit([0x0F, 0xAE, 0x93], Offset.hostMXCSR)  // ldmxcsr
    if vectorsAreWide { emit([0xC5, 0xF8, 0x77]) }  // vzeroupper
    emit([0xDB, 0xE3, 0x5B, 0xC3])  // fninit; pop rbx; ret
  }

  private func emitPrologue(_ i: HostInstruction) {
    emit([0x53, 0x48, 0x89, 0xFB])  // push rbx; mov rbx, rdi
    if i.usesMXCSR || i.isX87 { emit([0x0F, 0xAE, 0x9B], Offset.hostMXCSR) }
    if i.isX87 { emit([0x48, 0x0F, 0xAE, 0x0B]) }  // fxrstor64 [rbx]
    if i.usesMXCSR { emit([0x0F, 0xAE, 0x93], Offset.mxcsr) }
    forEachVector(i) { move($0, isStore: false, isWide: i.isVEX) }
    if i.usesFlags {
      emit([0xFF, 0xB3], Offset.flags)  // push
      emit([0x9D])  // popfq
    }
    if i.general != nil || i.comparesStrings { emit([0x48, 0x8B, 0x83], Offset.rax) }
    if i.comparesStrings {
      emit([0x48, 0x8B, 0x8B], Offset.rcx)
      emit([0x48, 0x8B, 0x93], Offset.rdx)
    }
    if i.memorySize > 0 { emit([0x48, 0x8D, 0xB3], Offset.buffer) }  // lea rsi
  }

  private func emitEpilogue(_ i: HostInstruction) {
    if i.general != nil { emit([0x48, 0x89, 0x83], Offset.rax) }
    if i.comparesStrings { emit([0x48, 0x89, 0x8B], Offset.rcx) }
    if i.usesFlags {
      emit([0x9C])  // pushfq
      emit([0x8F, 0x83], Offset.flags)  // pop
    }
    forEachVector(i) { move($0, isStore: true, isWide: i.isVEX) }
    if i.isX87 { emit([0x48, 0x0F, 0xAE, 0x03, 0xDB, 0xE3]) }  // fxsave64 [rbx]; fninit
    if i.usesMXCSR { emit([0x0F, 0xAE, 0x9B], Offset.mxcsr) }
    if i.usesMXCSR || i.isX87 { emit([0x0F, 0xAE, 0x93], Offset.hostMXCSR) }
    if i.isVEX { emit([0xC5, 0xF8, 0x77]) }  // vzeroupper
    emit([0x5B, 0xC3])  // pop rbx; ret
  }

  private func forEachVector(_ i: HostInstruction, _ body: (UInt8) -> Void) {
    for number in UInt8(0)..<16 where i.vectors >> UInt16(number) & 1 != 0 { body(number) }
  }

  /// MOVAPS or VMOVAPS between a register and its place. Legacy moves leave the upper halves alone.
  private func move(_ number: UInt8, isStore: Bool, isWide: Bool) {
    let isHigh = number >= 8
    if isWide {
      emit([0xC5, isHigh ? 0x7C : 0xFC])
    } else {
      if isHigh { emit([0x44]) }
      emit([0x0F])
    }
    emit([isStore ? 0x29 : 0x28, 0x83 | (number & 7) << 3], Offset.vectors + Int(number) * 32)
  }

  private func emit(_ bytes: [UInt8]) {
    for byte in bytes {
      // SAFETY: `compile` made sure of room for any stub.
      unsafe memory.writable.storeBytes(of: byte, toByteOffset: position, as: UInt8.self)
      position += 1
    }
  }

  /// An instruction with a 32-bit displacement from RBX.
  private func emit(_ bytes: [UInt8], _ displacement: Int) {
    emit(bytes)
    emit((0..<4).map { UInt8(truncatingIfNeeded: displacement >> ($0 * 8)) })
  }
}
