import CHost
import HostSystem
import X86
import X86Decoder

/// The translator (T1): guest code as host machine code.
///
/// # Glossary
/// - **Block**: guest code from one entry to the last instruction translated with it: straight on past
///   conditional branches, up to a branch that is always taken, an instruction that ends it, or the page's end.
/// - **Key** (`TranslationKey`): what of the CPU's state a block takes for granted.
/// - **Site**: a place where translated code leaves: which instruction, how many were executed before it,
///   and where to go on.
/// - **Slow site**: the instruction there is executed by the interpreter, because the TLB missed or because it is
///   never translated.
/// - **Edge**: a direct branch out of a block. Unlinked it leaves at a site; linked it jumps to the next block.
/// - **Code page**: the linear page being executed. Blocks know only offsets in it, so that one translation serves
///   every address space that maps the page.
///
/// # Life of a block
/// The interpreter counts how often its blocks run; `CPU.runBlocks` has a hot one translated. `BlockEmitter`
/// decodes the bytes again and emits each instruction with its registers renumbered and its memory operand replaced
/// by a TLB look-up (`BlockEmitter+Memory`). Blocks are found by physical address and key; `TranslatedExecution`
/// enters them, serves the sites they leave at, and links edges. A block dies when its page's code is
/// written, which no store in translated code does by itself: TLBs are closed to pages with code (`CodeClosings`). Its
/// first bytes become a jump to a site. When the cache is full everything is thrown away.
///
/// # Flags
/// Between blocks the host's flags are the guest's. Within one, `FlagSource` says how the guest's can be had while
/// look-ups change the host's; they are recovered before whatever reads them and on each way out
/// (`BlockEmitter+Flags`). Where they cannot be had, a look-up uses only LEA, MOV, PEXT and JRCXZ, which leave them alone.
///
/// # Counting and attention
/// R15 counts executed instructions down, edge by edge; a site knows how many precede it in its block. Under an
/// instruction budget it starts with the budget, and a block that it does not suffice for is left to the interpreter,
/// which stops exactly at the budget's end. Another thread
/// that wants attention clears `running`, which backward edges look at, and `jumpMask`, without which indirect
/// branches find nothing.
@safe final class Translator {
  private static let codeCapacity = 256 << 20
  /// Where the second half begins, for code that seldom runs: the ways to sites, and what is put off. The first
  /// half stays dense, for the sake of the host's instruction cache and TLB.
  static let coldStart = UInt32(codeCapacity / 2)
  private static let siteCapacity = 1 << 22
  private static let microCapacity = 1 << 21
  private static let blockCapacity = 1 << 19
  private static let bucketCount = 1 << 19
  static let bucketMask = UInt64(bucketCount - 1)

  private let memory: ExecutableMemory
  private let slots: (Int32, Int32)
  let stubs: RuntimeStubs
  /// The address of code that leaves at site 0, whose kind is `target`.
  let wayOut: UInt
  /// Where blocks begin, behind the stubs.
  private let codeStart: UnsafeMutablePointer<UInt8>
  var cursor: UnsafeMutablePointer<UInt8>
  var coldCursor: UnsafeMutablePointer<UInt8>

  let sites: UnsafeMutablePointer<Site>
  private(set) var siteCount = 1
  let micros: UnsafeMutablePointer<MicroInstruction>
  private(set) var microCount = 0
  let blocks: UnsafeMutablePointer<TranslatedBlock>
  private(set) var blockCount = 0
  private let bucketMemory: AnonymousMapping
  let buckets: UnsafeMutablePointer<BlockBucket>
  /// Head of the list of each RAM page's blocks.
  private let pages: UnsafeMutablePointer<UInt32>
  private let pageCount: Int
  /// For the signal handler: instructions that the host may refuse, of the first half and of the second.
  let faults: FaultTable
  let coldFaults: FaultTable
  /// Room for one block's unfinished jumps.
  let pending: UnsafeMutablePointer<PendingJump>
  static let pendingCapacity = 4096
  /// Room for one block's instructions.
  let plan: UnsafeMutablePointer<PlannedInstruction>
  /// The longest block and one more.
  static let planCapacity = 65

  /// Rises when everything is thrown away.
  private(set) var generation: UInt32 = 1
  /// In raw memory: counting must not cost an access check.
  let statistics: UnsafeMutablePointer<TranslationStatistics>
  /// Executions of instructions that are never translated, by `Operation`.
  let interpreted: UnsafeMutablePointer<UInt64>

  /// `nil` where the host lacks what translated code needs.
  ///
  /// - Parameter codeCapacity: bytes of code at most, 1…256 MiB.
  init?(pageCount: Int, codeCapacity: Int) {
    let bucketByteCount = Self.bucketCount * MemoryLayout<BlockBucket>.stride
    guard HostCPU.hasBMI2, let memory = try? ExecutableMemory(byteCount: Self.codeCapacity),
      let bucketMemory = try? AnonymousMapping(byteCount: bucketByteCount)
    else { return nil }
    self.memory = memory
    self.bucketMemory = bucketMemory
    self.pageCount = pageCount
    halfCapacity = max(1 << 20, min(codeCapacity, Self.codeCapacity)) / 2
    // SAFETY: freed in deinit; elements are trivial and initialised before they are read.
    unsafe sites = .allocate(capacity: Self.siteCapacity)
    unsafe micros = .allocate(capacity: Self.microCapacity)
    unsafe blocks = .allocate(capacity: Self.blockCapacity)
    // Its zeroes are empty buckets.
    unsafe buckets = self.bucketMemory.baseAddress.assumingMemoryBound(to: BlockBucket.self)
    unsafe pages = .allocate(capacity: pageCount)
    faults = FaultTable(capacity: Self.siteCapacity)
    coldFaults = FaultTable(capacity: Self.siteCapacity)
    unsafe pending = .allocate(capacity: Self.pendingCapacity)
    unsafe plan = .allocate(capacity: Self.planCapacity)
    unsafe statistics = .allocate(capacity: 1)
    unsafe statistics.initialize(to: TranslationStatistics())
    unsafe interpreted = .allocate(capacity: Operation.allCases.count)
    unsafe interpreted.initialize(repeating: 0, count: Operation.allCases.count)
    unsafe pages.initialize(repeating: 0, count: pageCount)
    var code = unsafe Assembler(
      cursor: memory.writable.assumingMemoryBound(to: UInt8.self))
    stubs = RuntimeStubs(&code, hasAVX: HostCPU.hasAVX)
    let wayOutStart = unsafe code.cursor
    unsafe code.leave(Site.target, stubs.exit)
    unsafe wayOut =
      UInt(bitPattern: memory.executable)
      + UInt(wayOutStart - memory.writable.assumingMemoryBound(to: UInt8.self))
    unsafe codeStart = code.cursor
    unsafe cursor = code.cursor
    unsafe coldCursor =
      (memory.writable + Int(Self.coldStart)).assumingMemoryBound(to: UInt8.self)
    unsafe (sites + Int(Site.target)).initialize(
      to: Site(kind: .target, executed: 0, blockOffset: 0))
    let start = unsafe UInt(bitPattern: memory.executable)
    let half = UInt(Self.coldStart)
    slots = (
      faults.register(start, half), coldFaults.register(start + half, UInt(memory.byteCount) - half)
    )
    guard slots.0 >= 0, slots.1 >= 0 else { return nil }
  }

  deinit {
    chost_unregister_stubs(slots.0)
    chost_unregister_stubs(slots.1)
    unsafe sites.deallocate()
    unsafe micros.deallocate()
    unsafe blocks.deallocate()
    unsafe pages.deallocate()
    unsafe pending.deallocate()
    unsafe plan.deallocate()
    unsafe statistics.deallocate()
    unsafe interpreted.deallocate()
  }

  // MARK: Addresses

  /// The offset in the code cache of an address of the writable mapping.
  @inline(__always)
  func offset(_ address: UnsafeMutablePointer<UInt8>) -> UInt32 {
    unsafe UInt32(truncatingIfNeeded: UnsafeRawPointer(address) - UnsafeRawPointer(memory.writable))
  }

  @inline(__always)
  func writable(_ offset: UInt32) -> UnsafeMutablePointer<UInt8> {
    unsafe (memory.writable + Int(offset)).assumingMemoryBound(to: UInt8.self)
  }

  /// Where the code at an offset is executed.
  @inline(__always)
  func executable(_ offset: UInt32) -> UInt {
    unsafe UInt(bitPattern: memory.executable) &+ UInt(offset)
  }

  /// Of each half, how much may be filled.
  private let halfCapacity: Int

  /// Bytes of code there are, stubs included.
  var codeByteCount: UInt32 { unsafe offset(cursor) + offset(coldCursor) - Self.coldStart }

  // MARK: Room

  /// Whether there may not be room for another block.
  var isNearlyFull: Bool {
    unsafe Int(offset(cursor)) + (256 << 10) > halfCapacity
      || Int(offset(coldCursor) - Self.coldStart) + (256 << 10) > halfCapacity
      || siteCount + 1024 > Self.siteCapacity || microCount + 256 > Self.microCapacity
      || blockCount + 2 > Self.blockCapacity
  }

  /// Throws everything away.
  func flush() {
    unsafe cursor = codeStart
    unsafe coldCursor = writable(Self.coldStart)
    siteCount = 1
    microCount = 0
    blockCount = 0
    faults.drop(from: 0)
    coldFaults.drop(from: 0)
    bucketMemory.discard(offset: 0, count: bucketMemory.byteCount)
    unsafe pages.update(repeating: 0, count: pageCount)
    generation &+= 1
    unsafe statistics.pointee.flushes &+= 1
  }

  func append(_ site: Site) -> UInt32 {
    unsafe (sites + siteCount).initialize(to: site)
    siteCount &+= 1
    return UInt32(siteCount &- 1)
  }

  func append(_ micro: MicroInstruction) -> UInt32 {
    unsafe (micros + microCount).initialize(to: micro)
    microCount &+= 1
    return UInt32(microCount &- 1)
  }

  // MARK: Blocks

  private func bucket(_ address: UInt64, _ key: UInt32) -> Int {
    Int(truncatingIfNeeded: chost_bucket(address, key, Self.bucketMask))
  }

  /// The block that starts at an address in RAM, or 0.
  func find(_ address: UInt64, _ key: TranslationKey) -> UInt32 {
    let first = unsafe buckets[bucket(address, key.rawValue)]
    if first.identity == chost_identity(address, key.rawValue) { return first.number }
    var number = first.number
    while number != 0 {
      let block = unsafe blocks + Int(number)
      if unsafe block.pointee.address == address && block.pointee.key == key.rawValue {
        return number
      }
      number = unsafe block.pointee.next
    }
    return 0
  }

  func insert(_ block: TranslatedBlock, ramPage: Int) -> UInt32 {
    if blockCount == 0 { blockCount = 1 }
    let number = blockCount
    let bucket = bucket(block.address, block.key)
    var block = block
    unsafe block.next = buckets[bucket].number
    unsafe block.next_in_page = pages[ramPage]
    unsafe (blocks + number).initialize(to: block)
    setFirst(bucket, UInt32(number))
    unsafe pages[ramPage] = UInt32(number)
    blockCount = number + 1
    return UInt32(number)
  }

  /// Notes that a block's last instruction ends in another RAM page than the block's.
  func insertDependence(of number: UInt32, onPage ramPage: Int) {
    let note = blockCount
    unsafe (blocks + note).initialize(
      to: TranslatedBlock(
        address: ~0, key: 0, entry: 0, indirect_entry: 0, dependent: number, next: 0,
        next_in_page: pages[ramPage]))
    unsafe pages[ramPage] = UInt32(note)
    blockCount = note + 1
  }

  /// Kills one block. There must be room.
  func discard(_ number: UInt32) {
    let block = unsafe blocks + Int(number)
    unsafe remove(number, block.pointee)
    unsafe kill(&block.pointee)
  }

  /// Kills the blocks of a RAM page: whoever still jumps to one leaves at a site.
  func invalidate(ramPage: Int) {
    guard ramPage < pageCount, unsafe pages[ramPage] != 0 else { return }
    var number = unsafe pages[ramPage]
    unsafe pages[ramPage] = 0
    while number != 0 {
      // A page may hold a block for each of its bytes and keys.
      if isNearlyFull { return flush() }
      let block = unsafe blocks[Int(number)]
      discard(block.dependent != 0 ? block.dependent : number)
      number = block.next_in_page
    }
  }

  /// Takes a block out of its bucket.
  private func remove(_ number: UInt32, _ block: TranslatedBlock) {
    let bucket = bucket(block.address, block.key)
    var current = unsafe buckets[bucket].number
    if current == number { return setFirst(bucket, block.next) }
    while current != 0 {
      let next = unsafe blocks[Int(current)].next
      if next == number { return unsafe blocks[Int(current)].next = block.next }
      current = next
    }
  }

  /// Has a block, by number, come first in a bucket.
  private func setFirst(_ bucket: Int, _ number: UInt32) {
    guard number != 0 else { return unsafe buckets[bucket] = BlockBucket() }
    let block = unsafe blocks[Int(number)]
    unsafe buckets[bucket] = BlockBucket(
      identity: chost_identity(block.address, block.key), number: number,
      indirect_entry: block.indirect_entry)
  }

  private func kill(_ block: inout TranslatedBlock) {
    unsafe statistics.pointee.killedBlocks &+= 1
    // Once there is a new block for the same bytes, the jump leads there.
    let site = append(
      Site(
        kind: .dead, executed: 0, blockOffset: UInt16(block.address & 4095),
        patch: block.entry + 1))
    var code = unsafe Assembler(cursor: coldCursor)
    let stub = unsafe code.cursor
    unsafe code.leave(site, stubs.exit)
    unsafe coldCursor = code.cursor
    var entry = unsafe Assembler(cursor: writable(block.entry))
    unsafe entry.jump(stub)
  }

  // MARK: Entering

  /// Runs translated code until it leaves at a site.
  @inline(__always)
  func enter(_ state: UnsafeMutablePointer<CPUState>, _ target: UInt32, live: UInt8) {
    // SAFETY: the stub is code of this object's making that keeps to the C calling convention.
    let function = unsafe unsafeBitCast(
      executable(offset(stubs.enter)),
      to: (@convention(c) (UnsafeMutableRawPointer, UInt, UInt) -> Void).self)
    unsafe function(UnsafeMutableRawPointer(state), executable(target), UInt(live))
  }
}

/// A place where translated code leaves.
struct Site {
  enum Kind: UInt8 {
    /// The interpreter executes the instruction; code goes on behind it.
    case slow
    /// An indirect branch found the table closed, or SYSCALL or SYSRET no target in it: the target is in R14.
    case target
    /// An edge, unlinked or with attention due; `target` counts from the code page.
    case edge
    /// The same between pages: R14 holds the target's linear page, `target` the offset in it.
    case pageEdge
    /// The second page of a straddling instruction is not `target`, the RAM page it was translated from.
    case straddle
    /// The block was killed.
    case dead
    /// The instruction budget ends within the block.
    case budget
  }
  var kind: Kind
  /// The instruction is never translated: no TLB miss.
  var isRefused = false
  /// Which registers the block has in the host's (`LiveRegisters`).
  var live: UInt8 = 0
  /// How many instructions of the block were executed before.
  var executed: UInt16
  /// Where the block starts in its page.
  var blockOffset: UInt16
  var micro: UInt32 = 0
  /// Offset in the code cache of what follows.
  var resume: UInt32 = 0
  /// Offset in the code cache of the rel32 of an edge; 0 for none.
  var patch: UInt32 = 0
  /// Offset in the code cache of the expected RAM page of an edge between pages.
  var keyPatch: UInt32 = 0
  var target: Int32 = 0

  /// The one site of kind `target`, by number.
  static let target: UInt32 = 0
}

/// Which of the guest's registers beside the general ones are in the host's: XMM or YMM, x87.
enum LiveRegisters {
  static let vectors: UInt8 = 1
  static let wideVectors: UInt8 = 2
  static let x87: UInt8 = 4
}

/// A translated block, by number; 0 is none.
typealias TranslatedBlock = chost_translated_block

typealias BlockBucket = chost_block_bucket

/// A jump in the block being emitted that waits for its target.
@safe struct PendingJump {
  /// Where its rel32 lies.
  var place: UnsafeMutablePointer<UInt8>
  var site: UInt32
  /// Where the flags are to be had from; none: they are the host's.
  var flags = FlagSource.none
  /// For a TLB look-up: where it starts, and which refill it takes.
  var retry: UnsafeMutablePointer<UInt8>?
  var refill: UInt8 = 0
  /// For an indirect branch: the target is to be looked for.
  var isSearch = false
  var isShort = false
  /// For conditional branches: the edge to emit.
  var isEdge: Bool
  var executed: UInt16 = 0
  var target: Int32 = 0
}

extension Assembler {
  /// Leaves at a site: its number in ECX.
  mutating func leave(_ site: UInt32, _ exit: UnsafeMutablePointer<UInt8>) {
    moveImmediate(Host.rcx, UInt64(site))
    unsafe jump(exit)
  }
}
