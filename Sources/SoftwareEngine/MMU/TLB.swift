import CHost

/// The layout of one set of a TLB: arrays of `size` elements one after the other, so that translated code
/// reaches any of them with one scaled index.
///
/// A *tag* is the negative of the linear page an entry serves for one kind of access. Added to a linear address
/// of that page it leaves the offset in the page; with the access's size less one on top, a result
/// below 4096 means that all bytes lie in the page. Code of the translator does the same sum.
enum TLBSet {
  /// Entries; a power of two.
  static let size = 16384

  /// Byte offsets of the arrays, of 64-bit elements unless said otherwise.
  static let readTags = 0
  /// Set only once the page-table entry's dirty bit is.
  static let writeTags = 8 * size
  /// Filled by fetches alone, so that data does not evict code.
  static let executeTags = 16 * size
  /// Host address less linear address.
  static let addends = 24 * size
  /// Address of the RAM page's word in `CodeTracker.chunks`.
  static let chunkWords = 32 * size
  /// The execute tag plus the page's index in RAM: what links between pages compare.
  static let executeKeys = 40 * size
  /// 32-bit: the page's index in RAM.
  static let ramPages = 48 * size
  /// 8-bit: see `TLBEntryFlags`; of data accesses and of fetches.
  static let flags = 52 * size
  static let executeFlags = 53 * size

  /// Host address of the page.
  static let hostPages = 56 * size

  static let byteCount = 64 * size

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
  }
  var executeKey: UInt64 {
    get { word(TLBSet.executeKeys) }
    nonmutating set { setWord(TLBSet.executeKeys, newValue) }
  }
  var ramPage: UInt32 {
    @inline(__always) get {
      unsafe set.load(fromByteOffset: TLBSet.ramPages &+ index &* 4, as: UInt32.self)
    }
  }
  var flags: UInt8 {
    get { unsafe set.load(fromByteOffset: TLBSet.flags &+ index, as: UInt8.self) }
    nonmutating set {
      unsafe set.storeBytes(of: newValue, toByteOffset: TLBSet.flags &+ index, as: UInt8.self)
    }
  }
  var executeFlags: UInt8 {
    get { unsafe set.load(fromByteOffset: TLBSet.executeFlags &+ index, as: UInt8.self) }
    nonmutating set {
      unsafe set.storeBytes(
        of: newValue, toByteOffset: TLBSet.executeFlags &+ index, as: UInt8.self)
    }
  }

  /// The RAM page that code of `linear`'s page lies in; `nil` unless the entry serves fetches from there.
  @inline(__always)
  func executedPage(_ linear: UInt64) -> UInt64? {
    let page = linear & ~4095
    return page &+ executeTag == 0 ? executeKey &+ page : nil
  }

  /// Makes the entry match no data access. It stays in the flush log if it is there.
  func invalidateData() {
    let none = TLBSet.invalidTag(index)
    readTag = none
    writeTag = none
    flags &= TLBEntryFlags.logged
  }

  func invalidateCode() {
    let none = TLBSet.invalidTag(index)
    executeTag = none
    executeKey = none
    executeFlags &= TLBEntryFlags.logged
  }
}

/// The TLB of one virtual CPU, in its `VirtualCPUMemory`: three first-level sets that accesses look into,
/// and a second level (`chost_tlb_level2`) that refills them without a page walk.
@safe struct TLB: ~Copyable {
  let user: UnsafeMutableRawPointer
  let supervisor: UnsafeMutableRawPointer
  /// Supervisor accesses while EFLAGS.AC lifts SMAP.
  let override: UnsafeMutableRawPointer
  private let level2: UnsafeMutablePointer<chost_tlb_level2>
  /// Fetch entries (set × size + index) that hold non-global pages.
  private var codeLog: [UInt32] = []
  private var largePages = LargePages()
  /// The generation of what the second level holds of each process context (PCID); 0: nothing.
  private var contexts = [UInt32](repeating: 0, count: contextCount)
  private var context = 0
  /// Of the process contexts' generations.
  var lastGeneration: UInt32 = 0
  var jumps: JumpTables

  static let setCount = Int(chost_tlb_sets)
  static let byteCount = setCount * TLBSet.byteCount
  private static let contextCount = 4096
  static let level2ByteCount = MemoryLayout<chost_tlb_level2>.size

  /// - Parameter raw: outlives this value.
  init(_ raw: VirtualCPUMemory) {
    let memory = unsafe raw.tlb
    jumps = unsafe JumpTables(raw.jumpTables)
    unsafe user = memory
    unsafe supervisor = memory + TLBSet.byteCount
    unsafe override = memory + 2 * TLBSet.byteCount
    // SAFETY: the memory is zeroes, which are a valid second level.
    unsafe level2 = raw.level2.assumingMemoryBound(to: chost_tlb_level2.self)
    flushAll(context: 0)
  }

  private func set(_ number: Int) -> UnsafeMutableRawPointer {
    unsafe user + number * TLBSet.byteCount
  }

  // MARK: Filling

  /// Enters a page for data accesses of a right.
  ///
  /// - Parameters:
  ///   - host: where the page lies.
  ///   - chunkWord: its word in `CodeTracker.chunks`.
  mutating func enterData(
    _ linear: UInt64, _ right: AccessRight, ramPage: UInt64, host: UnsafeMutableRawPointer,
    chunkWord: UnsafeMutablePointer<UInt64>, isWritable: Bool, isGlobal: Bool
  ) {
    let page = linear & ~4095
    let flags = right.setNumber | (isWritable ? 4 : 0) | (isGlobal ? 8 : 0)
    unsafe chost_tlb_enter(
      user, level2, linear,
      chost_tlb_line(
        page: page | flags, addend: UInt64(UInt(bitPattern: host)) &- page,
        chunk_word: UInt64(UInt(bitPattern: chunkWord)),
        ram_page: UInt32(truncatingIfNeeded: ramPage), generation: 0))
  }

  /// Enters a page for fetches.
  mutating func enterCode(
    _ linear: UInt64, _ right: AccessRight, ramPage: UInt64, isGlobal: Bool
  ) {
    let number = Int(right.setNumber)
    let entry = unsafe TLBEntry(set(number), linear)
    let tag = 0 &- (linear & ~4095)
    entry.executeTag = tag
    entry.executeKey = tag &+ ramPage
    var flags = entry.executeFlags & TLBEntryFlags.logged
    if isGlobal {
      flags |= TLBEntryFlags.global
    } else if flags == 0 {
      flags = TLBEntryFlags.logged
      codeLog.append(UInt32(number * TLBSet.size + entry.index))
    }
    entry.executeFlags = flags
  }

  mutating func noteLargePage(_ linear: UInt64, byteCount: UInt64) {
    largePages.note(linear, byteCount: byteCount)
  }

  // MARK: Code

  /// Closes the fast path of stores to a RAM page, which holds code from now on; to all if it is `nil`. It stays closed
  /// as long as the page's word in `CodeTracker.chunks` is not 0.
  func closeToWrites(ramPage: UInt64?) {
    for number in 0..<Self.setCount {
      let base = unsafe set(number)
      // SAFETY: both arrays have `size` elements.
      let pages = unsafe (base + TLBSet.ramPages).assumingMemoryBound(to: UInt32.self)
      let tags = unsafe (base + TLBSet.writeTags).assumingMemoryBound(to: UInt64.self)
      for index in 0..<TLBSet.size {
        if let ramPage, unsafe pages[index] != UInt32(truncatingIfNeeded: ramPage) { continue }
        unsafe tags[index] = TLBSet.invalidTag(index)
      }
    }
  }

  // MARK: Flushing

  /// - Parameter context: the one that is current from now on, below 4,096.
  mutating func flushAll(context: Int) {
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
        .update(repeating: 0, count: 2 * TLBSet.size)
    }
    if unsafe level2.pointee.global_generation == .max {
      unsafe chost_tlb_clear(level2)
      unsafe level2.pointee.global_generation = 0
    }
    unsafe level2.pointee.global_generation += 1
    unsafe level2.pointee.log_count = 0
    codeLog.removeAll(keepingCapacity: true)
    forgetContexts()
    setContext(context)
    largePages = LargePages()
    jumps.flushAll()
  }

  /// Flushes all but global pages, of all contexts.
  mutating func flushNonGlobal(context: Int) {
    forgetContexts()
    enter(context: context, isKept: false)
  }

  /// Makes a context the current one.
  ///
  /// - Parameter isKept: what is held of it stays, as global pages do.
  mutating func enter(context number: Int, isKept: Bool) {
    if isKept, number == context { return }
    if !isKept { contexts[number] = 0 }
    leaveContext()
    setContext(number)
  }

  /// Flushes all but global pages of one context, which need not be the current one.
  mutating func flush(context number: Int) {
    if number == context { enter(context: number, isKept: false) } else { contexts[number] = 0 }
  }

  private mutating func forgetContexts() {
    for number in contexts.indices { contexts[number] = 0 }
  }

  private mutating func setContext(_ number: Int) {
    context = number
    if contexts[number] == 0 {
      if lastGeneration == .max {
        forgetContexts()
        unsafe chost_tlb_clear(level2)
        lastGeneration = 0
      }
      lastGeneration += 1
      contexts[number] = lastGeneration
    }
    unsafe level2.pointee.local_generation = contexts[number]
  }

  /// Takes what is not global out of the first level.
  private mutating func leaveContext() {
    let logged = unsafe Int(level2.pointee.log_count)
    for position in 0..<logged {
      let entry = unsafe entry(chost_tlb_log_entry(level2, UInt32(position)))
      if entry.flags & TLBEntryFlags.global == 0 { entry.invalidateData() }
      entry.flags &= ~TLBEntryFlags.logged
    }
    unsafe level2.pointee.log_count = 0
    for number in codeLog {
      let entry = entry(number)
      if entry.executeFlags & TLBEntryFlags.global == 0 { entry.invalidateCode() }
      entry.executeFlags &= ~TLBEntryFlags.logged
    }
    codeLog.removeAll(keepingCapacity: true)
    jumps.flushNonGlobal()
  }

  /// The entry that a log names.
  private func entry(_ number: UInt32) -> TLBEntry {
    let number = Int(number)
    return unsafe TLBEntry(set(number / TLBSet.size), UInt64(number % TLBSet.size) << 12)
  }

  /// Flushes one page, global or not: of a large page, all that is held of it.
  mutating func flush(page linear: UInt64) {
    switch largePages.span(linear) {
    case 0:
      jumps.flush(page: linear)
      flushSmall(page: linear)
    case let byteCount where byteCount > LargePages.mostBytes: flushAll(context: context)
    case let byteCount:
      let first = linear & ~(byteCount - 1)
      jumps.flush(from: first, byteCount: byteCount)
      for page in stride(from: first, through: first + byteCount - 4096, by: 4096) {
        flushSmall(page: page)
      }
      largePages.forget(from: first, byteCount: byteCount)
    }
  }

  private mutating func flushSmall(page linear: UInt64) {
    unsafe chost_tlb_forget(level2, linear)
    let tag = 0 &- (linear & ~4095)
    for number in 0..<Self.setCount {
      let entry = unsafe TLBEntry(set(number), linear)
      if entry.readTag == tag || entry.writeTag == tag { entry.invalidateData() }
      if entry.executeTag == tag { entry.invalidateCode() }
    }
  }
}

/// Where large pages may have been entered since the last full flush.
private struct LargePages {
  /// A flush of larger ones is one of everything.
  static let mostBytes: UInt64 = 4 << 20
  private static let regionBytes: UInt64 = 2 << 20
  /// By hash: the number of a region, plus one; 0 for none, ~0 for several.
  private var regions = InlineArray<1024, UInt64>(repeating: 0)
  /// Of the largest of up to `mostBytes`.
  private var byteCount: UInt64 = 0
  /// The smallest power-of-two range that holds all larger ones.
  private var base: UInt64 = 0
  private var mask: UInt64 = 0
  private var hasLarger = false

  /// The number of an address's region, plus one, and where it is noted.
  private static func region(_ linear: UInt64) -> (region: UInt64, slot: Int) {
    let region = linear / regionBytes + 1
    return (region, Int((region ^ region >> 10) & 1023))
  }

  mutating func note(_ linear: UInt64, byteCount count: UInt64) {
    let first = linear & ~(count &- 1)
    guard count > Self.mostBytes else {
      byteCount = max(byteCount, count)
      for offset in stride(from: 0, to: count, by: Int(Self.regionBytes)) {
        let (region, slot) = Self.region(first + offset)
        if regions[slot] != region { regions[slot] = regions[slot] == 0 ? region : ~0 }
      }
      return
    }
    if !hasLarger {
      hasLarger = true
      base = first
      mask = ~(count &- 1)
      return
    }
    mask &= ~(count &- 1)
    while (first ^ base) & mask != 0 { mask &<<= 1 }
    base &= mask
  }

  /// The bytes, aligned to as many, that a large page around an address may have; 0 for none.
  func span(_ linear: UInt64) -> UInt64 {
    if hasLarger, (linear ^ base) & mask == 0 { return Self.mostBytes + 1 }
    let (region, slot) = Self.region(linear)
    return regions[slot] == region || regions[slot] == ~0 ? byteCount : 0
  }

  /// Nothing of the large pages in a range is held any more.
  mutating func forget(from first: UInt64, byteCount: UInt64) {
    for offset in stride(from: 0, to: byteCount, by: Int(Self.regionBytes)) {
      let (region, slot) = Self.region(first + offset)
      if regions[slot] == region { regions[slot] = 0 }
    }
  }
}

extension AccessRight {
  /// Which first-level set serves it.
  var setNumber: UInt64 {
    switch self {
    case .user: 0
    case .supervisor: 1
    case .supervisorOverride: 2
    }
  }
}
