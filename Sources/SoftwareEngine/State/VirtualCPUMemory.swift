import HostSystem

/// The raw memory of one virtual CPU: `CPUState`, and around it what translated code reaches at fixed offsets
/// from it.
///
/// The host's stack pointer leads to `TranslationState` while translated code runs: addresses off it are the shortest
/// there are. What lies below is a stack for the C functions that translated code calls, and for signals that a
/// program around us has handled on the stack they find.
@safe final class VirtualCPUMemory {
  /// Byte offsets from the state, all page-aligned.
  enum Offset {
    static let stack = -(64 << 10)
    static let tlb = (MemoryLayout<CPUState>.size + 4095) & ~4095
    static let jumpTables = tlb + ((TLB.byteCount + 4095) & ~4095)
    static let level2 = jumpTables + JumpTables.byteCount
    static let end = level2 + TLB.level2ByteCount
  }

  private let mapping: AnonymousMapping
  private let base: UnsafeMutableRawPointer

  /// All zeroes; what is not used takes no memory.
  init() throws(HostError) {
    mapping = try AnonymousMapping(byteCount: (Offset.end - Offset.stack + 4095) & ~4095)
    // SAFETY: the mapping lives as long as this object.
    unsafe base = mapping.baseAddress - Offset.stack
  }

  var state: UnsafeMutablePointer<CPUState> {
    unsafe base.assumingMemoryBound(to: CPUState.self)
  }
  var frame: UnsafeMutablePointer<TranslationState> {
    unsafe (base - TranslationState.byteCount).assumingMemoryBound(to: TranslationState.self)
  }
  var tlb: UnsafeMutableRawPointer { unsafe base + Offset.tlb }
  var level2: UnsafeMutableRawPointer { unsafe base + Offset.level2 }
  var jumpTables: UnsafeMutableRawPointer { unsafe base + Offset.jumpTables }
}
