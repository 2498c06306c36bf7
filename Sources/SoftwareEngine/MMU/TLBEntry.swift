/// One translation of a 4 KiB page, as the access path wants it.
///
/// A tag is the linear page address the entry serves for that kind of access, or an odd number that
/// matches nothing. `writeTag` is set only once the page-table entry's dirty bit is.
struct TLBEntry {
  var readTag: UInt64
  var writeTag: UInt64
  var executeTag: UInt64
  /// Host address less linear address.
  var addend: UInt64
  /// The page's index in RAM.
  var ramPage: UInt32
  var isGlobal: Bool
  /// Whether the entry stands in the flush log.
  var isLogged: Bool

  static let empty = TLBEntry(
    readTag: 1, writeTag: 1, executeTag: 1, addend: 0, ramPage: 0, isGlobal: false,
    isLogged: false)

  /// Entries in one set; a power of two.
  static let setSize = 1024

  @inline(__always)
  static func index(_ linear: UInt64) -> Int {
    Int(truncatingIfNeeded: (linear &>> 12) & UInt64(setSize - 1))
  }
}

/// The three sets of one virtual CPU, and what a flush needs to know of them.
@safe struct TLB: ~Copyable {
  let entries: UnsafeMutablePointer<TLBEntry>
  /// Indexes of entries that hold non-global pages.
  private let log: UnsafeMutablePointer<UInt32>
  private var logCount = 0
  /// The smallest power-of-two region that holds every large page entered since the last full flush;
  /// INVLPG inside it flushes everything.
  private var largeBase: UInt64 = 0
  private var largeMask: UInt64 = 0
  private var hasLarge = false

  static let entryCount = 3 * TLBEntry.setSize
  static let userSet = 0
  static let supervisorSet = TLBEntry.setSize
  static let overrideSet = 2 * TLBEntry.setSize

  init() {
    // SAFETY: fresh memory of `entryCount` elements, initialised here, freed in deinit.
    unsafe entries = .allocate(capacity: Self.entryCount)
    unsafe entries.initialize(repeating: .empty, count: Self.entryCount)
    unsafe log = .allocate(capacity: Self.entryCount)
  }

  deinit {
    unsafe entries.deallocate()
    unsafe log.deallocate()
  }

  /// Notes that the entry at `index` was filled.
  mutating func noteFill(_ index: Int, isGlobal: Bool) {
    // SAFETY: an entry is logged once, so the log cannot outgrow the entries.
    guard !isGlobal, unsafe !entries[index].isLogged else { return }
    unsafe entries[index].isLogged = true
    unsafe log[logCount] = UInt32(truncatingIfNeeded: index)
    logCount &+= 1
  }

  mutating func noteLargePage(_ linear: UInt64, byteCount: UInt64) {
    let base = linear & ~(byteCount &- 1)
    if !hasLarge {
      hasLarge = true
      largeBase = base
      largeMask = ~(byteCount &- 1)
      return
    }
    var mask = largeMask & ~(byteCount &- 1)
    while (base ^ largeBase) & mask != 0 { mask &<<= 1 }
    largeMask = mask
    largeBase &= mask
  }

  mutating func flushAll() {
    unsafe entries.update(repeating: .empty, count: Self.entryCount)
    logCount = 0
    hasLarge = false
  }

  /// Flushes all but global pages.
  mutating func flushNonGlobal() {
    for position in 0..<logCount {
      // SAFETY: logged indexes are those of entries.
      let index = unsafe Int(log[position])
      if unsafe entries[index].isGlobal {
        unsafe entries[index].isLogged = false
      } else {
        unsafe entries[index] = .empty
      }
    }
    logCount = 0
  }

  /// Flushes one page, global or not.
  mutating func flush(page linear: UInt64) {
    if hasLarge, (linear ^ largeBase) & largeMask == 0 {
      flushAll()
      return
    }
    let index = TLBEntry.index(linear)
    let page = linear & ~4095
    for set in [Self.userSet, Self.supervisorSet, Self.overrideSet] {
      // SAFETY: `index` is below the set size.
      let entry = unsafe entries + set + index
      if unsafe entry.pointee.readTag == page || entry.pointee.executeTag == page
        || entry.pointee.writeTag == page
      {
        let isLogged = unsafe entry.pointee.isLogged
        unsafe entry.pointee = .empty
        unsafe entry.pointee.isLogged = isLogged
      }
    }
  }
}
