import HostSystem
import X86Decoder

/// A virtual CPU's vector and x87 unit: its registers and its compiled instructions.
final class HostUnit {
  let registers = ExtendedState()
  private(set) var stubs: [Stub] = []
  private let compiler: StubCompiler?
  private var known: [[UInt8]: Int] = [:]

  init() { compiler = StubCompiler(vectorsAreWide: HostUnit.hasAVX) }

  /// Returns the number of the instruction's stub, or `nil` where it cannot be had.
  func stub(for instruction: Instruction) -> Int? {
    let wanted = HostInstruction(from: instruction)
    if wanted.isVEX, !HostUnit.hasAVX { return nil }
    var key = wanted.bytes
    key.append(wanted.general ?? 0xFF)
    key.append((wanted.isX87 ? 1 : 0) | (wanted.isVEX ? 2 : 0) | (wanted.isWait ? 4 : 0))
    key.append(UInt8(truncatingIfNeeded: wanted.memorySize))
    if let number = known[key] { return number }
    guard let entry = compiler?.compile(wanted) else { return nil }
    stubs.append(Stub(entry: entry, instruction: wanted))
    known[key] = stubs.count - 1
    return stubs.count - 1
  }

  static let hasAVX = HostCPU.hasAVX
}
