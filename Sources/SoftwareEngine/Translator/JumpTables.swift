import CHost

/// The layout of a table of targets of indirect branches by linear address.
enum JumpTable {
  /// Entries; a power of two.
  static let size = Int(chost_jump_entries)
  /// Where an entry holds the linear address, and the host address of the block's indirect entry.
  static let linear = 0
  static let target = 8
  static let stride = MemoryLayout<chost_jump>.stride
  static let byteCount = size * stride
  static let indexMask = UInt64(size - 1) << UInt64(chost_jump_shift)

  @inline(__always)
  static func index(_ linear: UInt64) -> Int {
    Int(truncatingIfNeeded: chost_jump_index(linear))
  }
}

/// One table for user code and one for supervisor code, behind the TLB. They follow the TLB's flushes.
///
/// Entry 0 is never used for a target: translated code finds it when attention is due.
@safe struct JumpTables {
  private let base: UnsafeMutableRawPointer
  /// Behind the tables; translated code has `chost_find_target` fill them.
  private let control: UnsafeMutablePointer<chost_jumps>

  private static let controlOffset = 2 * JumpTable.byteCount
  static let byteCount = unsafe (controlOffset + MemoryLayout<chost_jumps>.size + 4095) & ~4095

  /// - Parameter memory: zeroes.
  init(_ memory: UnsafeMutableRawPointer) {
    unsafe base = memory
    unsafe control = (memory + Self.controlOffset).assumingMemoryBound(to: chost_jumps.self)
    unsafe control.pointee.tables = OpaquePointer(memory)
    setFirst()
  }

  /// Where `chost_find_target` looks for blocks, and what tells it that attention is due.
  func attach(_ translator: Translator, jumpMask: UnsafePointer<UInt64>) {
    unsafe control.pointee.blocks = UnsafePointer(translator.blocks)
    unsafe control.pointee.buckets = UnsafePointer(translator.buckets)
    unsafe control.pointee.bucket_mask = Translator.bucketMask
    unsafe control.pointee.code = UInt64(translator.executable(0))
    unsafe control.pointee.jump_mask = jumpMask
    setWayOut(translator.wayOut)
  }

  /// Where the table of user (0) or of supervisor (1) code lies, from the state.
  static func offset(_ table: Int) -> Int {
    VirtualCPUMemory.Offset.jumpTables + table * JumpTable.byteCount
  }

  /// Where the key of a table's entries lies, from the state.
  static func keyOffset(_ table: Int) -> Int {
    // SAFETY: a stored property has an offset.
    VirtualCPUMemory.Offset.jumpTables + controlOffset
      + (unsafe MemoryLayout<chost_jumps>.offset(of: \.keys)!) + 4 * table
  }

  /// The address of the control block, for translated code.
  var controlAddress: UInt64 { unsafe UInt64(UInt(bitPattern: control)) }

  /// Entry 0 matches an address whose index is another, and that is not canonical.
  private func setFirst() {
    for table in 0..<2 {
      let none: UInt64 = 1 << 62 | 1 << UInt64(chost_jump_shift)
      let start = unsafe base + table * JumpTable.byteCount
      unsafe start.storeBytes(of: none, toByteOffset: JumpTable.linear, as: UInt64.self)
    }
  }

  /// Where entry 0 leads: to code that leaves with the target in R14.
  private func setWayOut(_ target: UInt) {
    for table in 0..<2 {
      unsafe base.storeBytes(
        of: target, toByteOffset: table * JumpTable.byteCount + JumpTable.target, as: UInt.self)
    }
  }

  /// Adds a target. Code that runs with SMAP lifted is not shared with code that does not.
  mutating func insert(
    _ linear: UInt64, _ target: UInt, _ key: TranslationKey, isGlobal: Bool
  ) {
    let index = JumpTable.index(linear)
    guard index != 0, !key.has(TranslationKey.override) else { return }
    let table = key.has(TranslationKey.user) ? 0 : 1
    if keys[table] != key.rawValue {
      flush(table)
      setKey(table, key.rawValue)
    }
    unsafe chost_insert_target(control, linear, UInt64(target), key.rawValue, isGlobal ? 1 : 0)
  }

  private var keys: InlineArray<2, UInt32> {
    unsafe [control.pointee.keys.0, control.pointee.keys.1]
  }

  private func setKey(_ table: Int, _ key: UInt32) {
    if table == 0 {
      unsafe control.pointee.keys.0 = key
    } else {
      unsafe control.pointee.keys.1 = key
    }
  }

  private mutating func flush(_ table: Int) {
    guard unsafe (table == 0 ? control.pointee.counts.0 : control.pointee.counts.1) != 0 else {
      return
    }
    unsafe chost_flush_targets(control, UInt32(table))
  }

  mutating func flushAll() {
    flush(0)
    flush(1)
    unsafe control.pointee.holds_non_global_supervisor = 0
    for word in 0..<64 { unsafe pages[word] = 0 }
  }

  mutating func flushNonGlobal() {
    flush(0)
    if unsafe control.pointee.holds_non_global_supervisor != 0 { flushAll() }
  }

  mutating func flush(page linear: UInt64) {
    let bit = Int(truncatingIfNeeded: (linear &>> 12) & 4095)
    if unsafe pages[bit >> 6] >> UInt64(bit & 63) & 1 != 0 {
      unsafe chost_flush_page_targets(control, linear)
    }
  }

  mutating func flush(from first: UInt64, byteCount: UInt64) {
    unsafe chost_flush_range_targets(control, first, byteCount)
  }

  private var pages: UnsafeMutablePointer<UInt64> {
    // SAFETY: the field is an array of 64 words.
    unsafe (UnsafeMutableRawPointer(control) + MemoryLayout<chost_jumps>.offset(of: \.pages)!)
      .assumingMemoryBound(to: UInt64.self)
  }
}
