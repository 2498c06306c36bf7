import HostSystem
import X86Decoder

/// A virtual CPU's vector and x87 unit: its registers and its compiled instructions.
@safe final class HostUnit {
  let registers = ExtendedState()
  private let compiler: StubCompiler?
  private var known: [[UInt8]: Int] = [:]
  private static let capacity = 1 << 15
  /// Flat, since it is read for every instruction.
  private let stubs: UnsafeMutablePointer<Stub>
  private var count = 0

  init() {
    compiler = StubCompiler(vectorsAreWide: HostUnit.hasAVX)
    // SAFETY: freed in deinit; elements are trivial and initialised before they are read.
    unsafe stubs = .allocate(capacity: HostUnit.capacity)
  }

  deinit { unsafe stubs.deallocate() }

  /// The stub that lowering numbered.
  @inline(__always)
  func stub(_ number: Int) -> UnsafePointer<Stub> { unsafe UnsafePointer(stubs + number) }

  /// Whether there may not be room for the instructions of another block.
  var isNearlyFull: Bool {
    count + Block.maximumCount > HostUnit.capacity || compiler?.isNearlyFull ?? false
  }

  /// Forgets all stubs: only when no decoded block refers to one.
  func reset() {
    count = 0
    known = [:]
    compiler?.reset()
  }

  /// Returns the number of the instruction's stub, or `nil` where it cannot be had.
  func stub(for instruction: Instruction, is64Bit: Bool) -> Int? {
    let wanted = HostInstruction(from: instruction, is64Bit: is64Bit)
    if wanted.isVEX, !HostUnit.hasAVX { return nil }
    var key = wanted.bytes.array
    key.append(wanted.general ?? 0xFF)
    key.append((wanted.isX87 ? 1 : 0) | (wanted.isVEX ? 2 : 0) | (wanted.isWait ? 4 : 0))
    key.append(UInt8(truncatingIfNeeded: wanted.memorySize))
    key.append(UInt8(truncatingIfNeeded: wanted.vectors >> 8))
    // Of FOP, what says where the operand is: the stub's own is another's.
    key.append(UInt8(truncatingIfNeeded: wanted.opcode))
    if let number = known[key] { return number }
    guard let entry = compiler?.compile(wanted) else { return nil }
    unsafe (stubs + count).initialize(to: Stub(entry: entry, instruction: wanted))
    known[key] = count
    count += 1
    return count - 1
  }

  static let hasAVX = HostCPU.hasAVX
}
