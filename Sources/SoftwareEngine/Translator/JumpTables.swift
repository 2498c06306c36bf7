/// The layout of a table of targets of indirect branches by linear address.
enum JumpTable {
  /// Entries; a power of two.
  static let size = 4096
  /// Negated linear addresses.
  static let tags = 0
  /// Host addresses of the blocks' indirect entries.
  static let targets = 8 * size
  /// Linear addresses.
  static let linears = 16 * size
  static let byteCount = 24 * size
  static let indexMask = UInt64(size - 1) << 1

  @inline(__always)
  static func index(_ linear: UInt64) -> Int {
    Int(truncatingIfNeeded: (linear &>> 1) & UInt64(size - 1))
  }
}

/// One table for user code and one for supervisor code, behind the TLB. They follow the TLB's flushes.
///
/// Entry 0 is never used for a target: translated code finds it when attention is due.
@safe struct JumpTables {
  private let base: UnsafeMutableRawPointer
  /// What the entries take for granted.
  private var keys: (TranslationKey, TranslationKey) = (.none, .none)
  /// Bits of pages (hashed) that entries lie in.
  private var pages: InlineArray<64, UInt64> = .init(repeating: 0)
  private var holdsNonGlobalSupervisor = false
  private var counts = (0, 0)

  static let byteCount = 2 * JumpTable.byteCount

  init(_ memory: UnsafeMutableRawPointer) {
    unsafe base = memory
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.byteCount)
    setFirst()
  }

  /// Entry 0 matches an address whose index is another, and that is not canonical.
  private func setFirst() {
    for table in 0..<2 {
      let none: UInt64 = 1 << 62 | 2
      let start = unsafe base + table * JumpTable.byteCount
      unsafe start.storeBytes(of: 0 &- none, as: UInt64.self)
      unsafe start.storeBytes(of: none, toByteOffset: JumpTable.linears, as: UInt64.self)
    }
  }

  /// Where entry 0 leads: to code that leaves with the target in R14.
  func setWayOut(_ target: UInt) {
    for table in 0..<2 {
      unsafe base.storeBytes(
        of: target, toByteOffset: table * JumpTable.byteCount + JumpTable.targets, as: UInt.self)
    }
  }

  /// Adds a target. Code that runs with SMAP lifted is not shared with code that does not.
  mutating func insert(
    _ linear: UInt64, _ target: UInt, _ key: TranslationKey, isGlobal: Bool
  ) {
    let index = JumpTable.index(linear)
    guard index != 0, !key.has(TranslationKey.override) else { return }
    let isUser = key.has(TranslationKey.user)
    if (isUser ? keys.0 : keys.1) != key {
      flush(isUser ? 0 : 1)
      if isUser { keys.0 = key } else { keys.1 = key }
    }
    if isUser {
      counts.0 &+= 1
    } else {
      counts.1 &+= 1
      if !isGlobal { holdsNonGlobalSupervisor = true }
    }
    let bit = Int(truncatingIfNeeded: (linear &>> 12) & 4095)
    pages[bit >> 6] |= 1 << UInt64(bit & 63)
    // SAFETY: the index is below the table's size.
    let table = unsafe base + (isUser ? 0 : JumpTable.byteCount)
    unsafe table.storeBytes(of: 0 &- linear, toByteOffset: index * 8, as: UInt64.self)
    unsafe table.storeBytes(
      of: linear, toByteOffset: JumpTable.linears + index * 8, as: UInt64.self)
    unsafe table.storeBytes(of: target, toByteOffset: JumpTable.targets + index * 8, as: UInt.self)
  }

  private mutating func flush(_ table: Int) {
    guard (table == 0 ? counts.0 : counts.1) != 0 else { return }
    if table == 0 { counts.0 = 0 } else { counts.1 = 0 }
    // Address 0, which an empty entry seems to hold, has index 0.
    for array in [JumpTable.tags, JumpTable.linears] {
      // SAFETY: each array has `size` elements.
      let words = unsafe (base + table * JumpTable.byteCount + array)
        .assumingMemoryBound(to: UInt64.self)
      unsafe (words + 1).update(repeating: 0, count: JumpTable.size - 1)
    }
  }

  mutating func flushAll() {
    flush(0)
    flush(1)
    holdsNonGlobalSupervisor = false
    pages = .init(repeating: 0)
  }

  mutating func flushNonGlobal() {
    flush(0)
    if holdsNonGlobalSupervisor { flushAll() }
  }

  mutating func flush(page linear: UInt64) {
    let bit = Int(truncatingIfNeeded: (linear &>> 12) & 4095)
    if pages[bit >> 6] >> UInt64(bit & 63) & 1 != 0 { flushAll() }
  }
}
