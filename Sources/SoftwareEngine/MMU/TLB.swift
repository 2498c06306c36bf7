/// The layout of one set of a TLB: arrays of `size` elements one after the other, so that translated code
/// reaches any of them with one scaled index.
///
/// A *tag* is the negative of the linear page an entry serves for one kind of access. Added to a linear address
/// of that page it leaves the offset in the page; with the access's size less one on top, a result
/// below 4096 means that all bytes lie in the page. Code of the translator does the same sum.
enum TLBSet {
  /// Entries; a power of two.
  static let size = 1024

  /// Byte offsets of the arrays, of 64-bit elements unless said otherwise.
  static let readTags = 0
  /// Set only once the page-table entry's dirty bit is.
  static let writeTags = 8 * size
  static let executeTags = 16 * size
  /// Host address less linear address.
  static let addends = 24 * size
  /// Address of the RAM page's word in `CodeTracker.chunks`.
  static let chunkWords = 32 * size
  /// The execute tag plus the page's index in RAM: what links between pages compare.
  static let executeKeys = 40 * size
  /// 32-bit: the page's index in RAM.
  static let ramPages = 48 * size
  /// 8-bit: see `TLBEntryFlags`.
  static let flags = 52 * size

  static let byteCount = 56 * size

  /// The address bits that select an entry.
  static let indexMask = UInt64(size - 1) << 12

  @inline(__always)
  static func index(_ linear: UInt64) -> Int {
    Int(truncatingIfNeeded: (linear &>> 12) & UInt64(size - 1))
  }

  /// A tag that no access to the entry's index matches: the negative of a page that is not canonical and
  /// whose index is neither the entry's nor the next one's.
  static func invalidTag(_ index: Int) -> UInt64 {
    0 &- (1 << 62 | (index == 511 || index == 512 ? 0 : 1 << 21))
  }
}

/// Bits of `TLBSet.flags`.
enum TLBEntryFlags {
  static let global: UInt8 = 1 << 0
  /// The entry stands in the flush log.
  static let logged: UInt8 = 1 << 1
}

/// One entry of a set, in raw memory.
@safe struct TLBEntry {
  let set: UnsafeMutableRawPointer
  let index: Int

  @inline(__always)
  init(_ set: UnsafeMutableRawPointer, _ linear: UInt64) {
    unsafe self.set = set
    index = TLBSet.index(linear)
  }

  @inline(__always)
  private func word(_ array: Int) -> UInt64 {
    // SAFETY: the index is below the set's size.
    unsafe set.load(fromByteOffset: array &+ index &* 8, as: UInt64.self)
  }

  @inline(__always)
  private func setWord(_ array: Int, _ value: UInt64) {
    unsafe set.storeBytes(of: value, toByteOffset: array &+ index &* 8, as: UInt64.self)
  }

  var readTag: UInt64 {
    @inline(__always) get { word(TLBSet.readTags) }
    nonmutating set { setWord(TLBSet.readTags, newValue) }
  }
  var writeTag: UInt64 {
    @inline(__always) get { word(TLBSet.writeTags) }
    nonmutating set { setWord(TLBSet.writeTags, newValue) }
  }
  var executeTag: UInt64 {
    @inline(__always) get { word(TLBSet.executeTags) }
    nonmutating set { setWord(TLBSet.executeTags, newValue) }
  }
  var addend: UInt64 {
    @inline(__always) get { word(TLBSet.addends) }
    nonmutating set { setWord(TLBSet.addends, newValue) }
  }
  var chunkWord: UInt64 {
    get { word(TLBSet.chunkWords) }
    nonmutating set { setWord(TLBSet.chunkWords, newValue) }
  }
  var executeKey: UInt64 {
    get { word(TLBSet.executeKeys) }
    nonmutating set { setWord(TLBSet.executeKeys, newValue) }
  }
  var ramPage: UInt32 {
    @inline(__always) get {
      unsafe set.load(fromByteOffset: TLBSet.ramPages &+ index &* 4, as: UInt32.self)
    }
    nonmutating set {
      unsafe set.storeBytes(
        of: newValue, toByteOffset: TLBSet.ramPages &+ index &* 4, as: UInt32.self)
    }
  }
  var flags: UInt8 {
    get { unsafe set.load(fromByteOffset: TLBSet.flags &+ index, as: UInt8.self) }
    nonmutating set {
      unsafe set.storeBytes(of: newValue, toByteOffset: TLBSet.flags &+ index, as: UInt8.self)
    }
  }

  /// Makes the entry match nothing. It stays in the flush log if it is there.
  func invalidate() {
    let none = TLBSet.invalidTag(index)
    readTag = none
    writeTag = none
    executeTag = none
    executeKey = none
    flags &= TLBEntryFlags.logged
  }
}

/// The three sets of one virtual CPU, in the memory of its `VirtualCPUMemory`, and what a flush needs to
/// know of them.
@safe struct TLB: ~Copyable {
  let user: UnsafeMutableRawPointer
  let supervisor: UnsafeMutableRawPointer
  /// Supervisor accesses while EFLAGS.AC lifts SMAP.
  let override: UnsafeMutableRawPointer
  /// Entries (set number × size + index) that hold non-global pages.
  private let log: UnsafeMutablePointer<UInt32>
  private var logCount = 0
  /// The smallest power-of-two region that holds every large page entered since the last full flush;
  /// INVLPG inside it flushes everything.
  private var largeBase: UInt64 = 0
  private var largeMask: UInt64 = 0
  private var hasLarge = false
  var jumps: JumpTables

  static let setCount = 3
  static let byteCount = setCount * TLBSet.byteCount

  /// - Parameter raw: outlives this value.
  init(_ raw: VirtualCPUMemory) {
    let memory = unsafe raw.tlb
    jumps = unsafe JumpTables(raw.jumpTables)
    unsafe user = memory
    unsafe supervisor = memory + TLBSet.byteCount
    unsafe override = memory + 2 * TLBSet.byteCount
    // SAFETY: freed in deinit.
    unsafe log = .allocate(capacity: Self.setCount * TLBSet.size)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.byteCount)
    flushAll()
  }

  deinit { unsafe log.deallocate() }

  private func set(_ number: Int) -> UnsafeMutableRawPointer {
    unsafe user + number * TLBSet.byteCount
  }

  /// Notes that an entry was filled.
  mutating func noteFill(_ entry: TLBEntry, isGlobal: Bool) {
    guard !isGlobal, entry.flags & TLBEntryFlags.logged == 0 else { return }
    entry.flags |= TLBEntryFlags.logged
    let number = unsafe (entry.set - user) / TLBSet.byteCount
    // SAFETY: an entry is logged once, so the log cannot outgrow the entries.
    unsafe log[logCount] = UInt32(truncatingIfNeeded: number * TLBSet.size + entry.index)
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
    for number in 0..<Self.setCount {
      let base = unsafe set(number)
      for array in [
        TLBSet.readTags, TLBSet.writeTags, TLBSet.executeTags, TLBSet.executeKeys,
      ] {
        // SAFETY: the array has `size` elements.
        let tags = unsafe (base + array).assumingMemoryBound(to: UInt64.self)
        unsafe tags.update(repeating: TLBSet.invalidTag(0), count: TLBSet.size)
        unsafe tags[511] = TLBSet.invalidTag(511)
        unsafe tags[512] = TLBSet.invalidTag(512)
      }
      unsafe (base + TLBSet.flags).assumingMemoryBound(to: UInt8.self)
        .update(repeating: 0, count: TLBSet.size)
    }
    logCount = 0
    hasLarge = false
    jumps.flushAll()
  }

  /// Flushes all but global pages.
  mutating func flushNonGlobal() {
    for position in 0..<logCount {
      // SAFETY: logged numbers are those of entries.
      let number = unsafe Int(log[position])
      let linear = UInt64(number % TLBSet.size) << 12
      let entry = unsafe TLBEntry(set(number / TLBSet.size), linear)
      if entry.flags & TLBEntryFlags.global == 0 { entry.invalidate() }
      entry.flags &= ~TLBEntryFlags.logged
    }
    logCount = 0
    jumps.flushNonGlobal()
  }

  /// Flushes one page, global or not.
  mutating func flush(page linear: UInt64) {
    if hasLarge, (linear ^ largeBase) & largeMask == 0 {
      flushAll()
      return
    }
    jumps.flush(page: linear)
    let tag = 0 &- (linear & ~4095)
    for number in 0..<Self.setCount {
      let entry = unsafe TLBEntry(set(number), linear)
      if entry.readTag == tag || entry.executeTag == tag || entry.writeTag == tag {
        entry.invalidate()
      }
    }
  }
}
