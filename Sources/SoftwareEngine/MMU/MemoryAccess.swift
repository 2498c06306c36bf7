import CHost
import X86

/// Data accesses by segment and offset: the fast path, inlined everywhere.
///
/// A function that returns `nil` or `false` has recorded a fault or an exit.
extension CPU {
  @inline(__always)
  func read<T: GuestInteger>(_ segment: UInt8, _ offset: UInt64, _: T.Type = T.self) -> T? {
    // SAFETY: `segment` is below 8 (lowering and callers); a tag match means that the bytes up to
    // the last lie in one RAM page at `addend`.
    let size = UInt64(MemoryLayout<T>.size)
    let end = unsafe state.readEnd[unchecked: Int(segment)]
    if offset &+ size <= end || end == .max {
      let linear =
        unsafe (state.linearBase[unchecked: Int(segment)] &+ offset) & state.linearMask
      let entry = unsafe TLBEntry(state.dataTLB, linear)
      if linear &+ entry.readTag &+ (size &- 1) < 4096 {
        let host = unsafe UnsafeRawPointer(bitPattern: UInt(linear &+ entry.addend))
        return unsafe host.unsafelyUnwrapped.loadUnaligned(as: T.self)
      }
    }
    return readSlow(segment, offset)
  }

  @inline(__always)
  func write<T: GuestInteger>(_ segment: UInt8, _ offset: UInt64, _ value: T) -> Bool {
    // SAFETY: as in `read`.
    let size = UInt64(MemoryLayout<T>.size)
    let end = unsafe state.writeEnd[unchecked: Int(segment)]
    if offset &+ size <= end || end == .max {
      let linear =
        unsafe (state.linearBase[unchecked: Int(segment)] &+ offset) & state.linearMask
      let entry = unsafe TLBEntry(state.dataTLB, linear)
      if linear &+ entry.writeTag &+ (size &- 1) < 4096 {
        let host = unsafe UnsafeMutableRawPointer(bitPattern: UInt(linear &+ entry.addend))
        unsafe host.unsafelyUnwrapped.storeBytes(of: value, as: T.self)
        noteStore(entry.ramPage, linear, size)
        return true
      }
    }
    return writeSlow(segment, offset, value)
  }

  /// Replaces the value at an address by `body` of it, atomically if `isLocked`. `body` may run
  /// several times, and has no effect but on the arithmetic flags.
  @inline(__always)
  func modify<T: GuestInteger>(
    _ segment: UInt8, _ offset: UInt64, isLocked: Bool, _ body: (T) -> T
  ) -> Bool {
    // SAFETY: as in `read`.
    let size = UInt64(MemoryLayout<T>.size)
    let end = unsafe state.writeEnd[unchecked: Int(segment)]
    if offset &+ size <= end || end == .max {
      let linear =
        unsafe (state.linearBase[unchecked: Int(segment)] &+ offset) & state.linearMask
      let entry = unsafe TLBEntry(state.dataTLB, linear)
      if linear &+ entry.writeTag &+ (size &- 1) < 4096 {
        let host = unsafe UnsafeMutableRawPointer(bitPattern: UInt(linear &+ entry.addend))
          .unsafelyUnwrapped
        var old = unsafe host.loadUnaligned(as: T.self)
        if isLocked {
          while unsafe !T.compareExchange(host, &old, body(old)) {}
        } else {
          unsafe host.storeBytes(of: body(old), as: T.self)
        }
        noteStore(entry.ramPage, linear, size)
        return true
      }
    }
    return modifySlow(segment, offset, isLocked: isLocked, body)
  }

  /// Looks, after a store, whether it hit decoded code.
  @inline(__always)
  func noteStore(_ ramPage: UInt32, _ linear: UInt64, _ size: UInt64) {
    // SAFETY: `ramPage` comes from a TLB entry, so it is a page of RAM.
    if unsafe state.codeChunks[Int(ramPage)] != 0 { noteCodeStore(ramPage, linear, size) }
  }

  @inline(never)
  func noteCodeStore(_ ramPage: UInt32, _ linear: UInt64, _ size: UInt64) {
    env.noteWrite(ramOffset: UInt64(ramPage) << 12 | (linear & 4095), byteCount: size, by: self)
  }
}
