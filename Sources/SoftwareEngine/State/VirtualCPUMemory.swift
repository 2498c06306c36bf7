/// The raw memory of one virtual CPU: `CPUState`, and behind it what translated code reaches at fixed offsets
/// from it.
@safe final class VirtualCPUMemory {
  /// Byte offsets from the state, all page-aligned.
  enum Offset {
    static let tlb = (MemoryLayout<CPUState>.size + 4095) & ~4095
    static let jumpTables = tlb + ((TLB.byteCount + 4095) & ~4095)
    static let level2 = jumpTables + JumpTables.byteCount
    static let end = level2 + TLB.level2ByteCount
  }

  let base: UnsafeMutableRawPointer

  init() {
    // SAFETY: freed in deinit; each part is initialised by its owner.
    unsafe base = .allocate(byteCount: Offset.end, alignment: 4096)
  }

  deinit { unsafe base.deallocate() }

  var state: UnsafeMutablePointer<CPUState> {
    unsafe base.assumingMemoryBound(to: CPUState.self)
  }
  var tlb: UnsafeMutableRawPointer { unsafe base + Offset.tlb }
  var level2: UnsafeMutableRawPointer { unsafe base + Offset.level2 }
  var jumpTables: UnsafeMutableRawPointer { unsafe base + Offset.jumpTables }
}
