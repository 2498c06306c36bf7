import CHost
import GuestMemory
import X86
import X86Decoder

/// A run of decoded instructions that start in one page and end at a branch, the page's end, or 64.
@safe struct Block {
  /// Physical address of the first byte; odd keys are never looked up, so `~0` marks an empty entry.
  var physical: UInt64
  var mode: ExecutionMode
  var count: UInt16
  var byteLength: UInt16
  /// The code version of the page when it was decoded.
  var version: UInt32
  var first: UnsafePointer<MicroInstruction>

  static let maximumCount = 64
}

/// Decoded code of one virtual CPU: a direct-mapped table of blocks over an arena that is emptied as a whole.
@safe final class BlockCache {
  static let tableSize = 1 << 15
  static let arenaCapacity = 1 << 19
  static let coldCapacity = 1 << 17

  let table: UnsafeMutablePointer<Block>
  let arena: UnsafeMutablePointer<MicroInstruction>
  /// The decoded form of instructions that are dispatched cold, by `MicroInstruction.immediate`.
  let cold: UnsafeMutablePointer<Instruction>
  /// How often code was interpreted, by a hash of its address: blocks come and go.
  private let heats: UnsafeMutablePointer<UInt16>
  private static let heatCount = 1 << 16
  private(set) var arenaCount = 0
  private(set) var coldCount = 0
  /// How often everything was thrown away, for statistics.
  private(set) var flushCount = 0

  init() {
    // SAFETY: freed in deinit; entries are trivial types, initialised before they are read.
    unsafe table = .allocate(capacity: Self.tableSize)
    unsafe arena = .allocate(capacity: Self.arenaCapacity)
    unsafe cold = .allocate(capacity: Self.coldCapacity)
    unsafe heats = .allocate(capacity: Self.heatCount)
    unsafe heats.initialize(repeating: 0, count: Self.heatCount)
    clear()
  }

  deinit {
    unsafe table.deallocate()
    unsafe arena.deallocate()
    unsafe cold.deallocate()
    unsafe heats.deallocate()
  }

  /// The counter of code at a physical address.
  @inline(__always)
  func heat(_ physical: UInt64) -> UnsafeMutablePointer<UInt16> {
    // SAFETY: the index is below the count.
    unsafe heats
      + Int(truncatingIfNeeded: (physical ^ physical &>> 16) & UInt64(Self.heatCount - 1))
  }

  private func clear() {
    let empty = unsafe Block(
      physical: ~0, mode: ExecutionMode(rawValue: 0), count: 0, byteLength: 0, version: 0,
      first: UnsafePointer(arena))
    unsafe table.initialize(repeating: empty, count: Self.tableSize)
    arenaCount = 0
  }

  /// Throws the blocks away. Cold instructions stay: translated code may refer to them.
  func flush() {
    clear()
    flushCount &+= 1
  }

  /// Throws the blocks and the cold instructions away.
  func flushAll() {
    flush()
    coldCount = 0
  }

  /// Whether there may not be room for the cold instructions of another block.
  var isColdNearlyFull: Bool { coldCount + 4 * Block.maximumCount > Self.coldCapacity }

  @inline(__always)
  func entry(_ physical: UInt64, _ mode: ExecutionMode) -> UnsafeMutablePointer<Block> {
    let hash = (physical ^ (physical &>> 12) &* 0x9E37) ^ (UInt64(mode.rawValue) &<< 3)
    // SAFETY: masked to the table's size.
    return unsafe table + Int(truncatingIfNeeded: hash & UInt64(Self.tableSize - 1))
  }

  /// Room for one block; flushes everything when the arena is full.
  func reserve() {
    if arenaCount + Block.maximumCount > Self.arenaCapacity { flush() }
  }

  func append(_ instruction: MicroInstruction) {
    // SAFETY: `reserve` made room.
    unsafe (arena + arenaCount).initialize(to: instruction)
    arenaCount &+= 1
  }

  /// Keeps a decoded instruction and returns its index.
  func appendCold(_ instruction: Instruction) -> UInt64 {
    unsafe (cold + coldCount).initialize(to: instruction)
    coldCount &+= 1
    return UInt64(coldCount &- 1)
  }
}

extension CPU {
  /// The block at the instruction pointer. `nil`: a fault was recorded.
  @inline(__always)
  func lookUpBlock() -> UnsafePointer<Block>? {
    let linear = (state.linearBase[1] &+ rip) & state.linearMask
    if linear & ~4095 != state.codeLinearPage {
      guard findCodePage(linear) else { return nil }
    }
    let physical = state.codePhysicalPage | (linear & 4095)
    let entry = unsafe env.blocks.entry(physical, state.mode)
    // SAFETY: `codeRAMPage` is a page of RAM (or the spare last version).
    if unsafe entry.pointee.physical == physical && entry.pointee.mode == state.mode
      && entry.pointee.version == state.codeVersions[Int(state.codeRAMPage)]
      && fits(entry.pointee.byteLength)
    {
      return unsafe UnsafePointer(entry)
    }
    return unsafe buildBlock(physical, entry)
  }

  /// Whether a block ends inside the code segment's limit.
  @inline(__always)
  private func fits(_ byteLength: UInt16) -> Bool {
    state.mode.is64Bit || rip &+ UInt64(byteLength) <= UInt64(state.segments[1].limit) &+ 1
  }

  /// Makes the page of `linear` the one that code is fetched from.
  @inline(never)
  func findCodePage(_ linear: UInt64) -> Bool {
    let set = unsafe state.privilegeLevel == 3 ? state.userTLB : state.supervisorTLB
    let page = linear & ~4095
    if let ramPage = unsafe TLBEntry(set, linear).executedPage(linear) {
      unsafe state.codeHost = env.ramPointer(ramPage << 12)
      state.codeRAMPage = ramPage
      state.codePhysicalPage = env.physicalPage(ofRAMPage: ramPage)
      state.codeLinearPage = page
      return true
    }
    let right: AccessRight = state.privilegeLevel == 3 ? .user : .supervisor
    guard let physical = translate(linear, .execute, right, segment: 1) else { return false }
    guard let host = unsafe env.hostAddress(physical & ~4095, byteCount: 4096),
      let offset = env.ramOffset(physical & ~4095, byteCount: 4096)
    else {
      // Nothing but RAM holds code: an instruction fetch from elsewhere reads ones, which is #UD.
      raise(.invalidOpcode)
      return false
    }
    unsafe state.codeHost = UnsafePointer(host.assumingMemoryBound(to: UInt8.self))
    state.codeRAMPage = offset >> 12
    state.codePhysicalPage = physical & ~4095
    state.codeLinearPage = page
    return true
  }

  /// Decodes the block at `physical`, which lies in the current code page.
  @inline(never)
  private func buildBlock(
    _ physical: UInt64, _ entry: UnsafeMutablePointer<Block>
  ) -> UnsafePointer<Block>? {
    let cache = env.blocks
    makeRoomForCode()
    cache.reserve()
    let start = Int(physical & 4095)
    let ramOffset = state.codeRAMPage << 12
    var registeredEnd = start
    let version = registerCode(ramOffset, from: start, end: &registeredEnd)
    let first = unsafe UnsafePointer(cache.arena + cache.arenaCount)
    let limit = state.mode.is64Bit ? UInt64.max : UInt64(state.segments[1].limit)
    let decoder = Decoder(mode: state.mode.codeMode)
    var position = start
    var count = 0
    var instruction = Instruction.empty
    // SAFETY: `codeHost` is a page of RAM; at most 4096 - position bytes of it are shown.
    building: while count < Block.maximumCount, position < 4096 {
      let offset = UInt64(position - start)
      registerCode(ramOffset, from: position, end: &registeredEnd)
      guard rip &+ offset <= limit else { break }
      let room = min(4096 - position, limit == .max ? 4096 : Int(limit - (rip &+ offset) + 1))
      let span = unsafe Span(
        _unsafeStart: state.codeHost.unsafelyUnwrapped + position, count: min(room, 15))
      switch decoder.decode(span, into: &instruction) {
      case .decoded: break
      case .invalid:
        instruction.operation = .invalid
        instruction.length = max(instruction.length, 1)
        instruction.traits.insert(.changesControlFlow)
      case .tooLong, .needsMoreBytes:
        break building
      }
      var micro = lower(instruction)
      micro.offset = UInt16(offset)
      finish(&micro, instruction)
      cache.append(micro)
      count += 1
      position += Int(instruction.length)
      if endsBlock(micro, instruction) { break }
    }
    guard count > 0 else { return unsafe buildStraddlingBlock(physical) }
    // A write since `version` was read shows as a newer version, and the block is built again.
    unsafe entry.pointee = Block(
      physical: physical, mode: state.mode, count: UInt16(count),
      byteLength: UInt16(position - start), version: version, first: first)
    return unsafe UnsafePointer(entry)
  }

  /// Throws all code away, translated code included, when what both tiers share is nearly full. Not while
  /// a block runs.
  func makeRoomForCode() {
    guard env.host.isNearlyFull || env.blocks.isColdNearlyFull else { return }
    env.blocks.flushAll()
    flushTranslations()
    env.host.reset()
  }

  /// Marks what an instruction at an offset of a RAM page may consist of as decoded, unless it lies before `end`, up
  /// to which that is done.
  @inline(__always) @discardableResult
  func registerCode(_ ramOffset: UInt64, from position: Int, end: inout Int) -> UInt32 {
    let needed = min(position &+ 15, 4096)
    guard needed > end else { return 0 }
    let start = max(position, end)
    end = (needed &+ 63) & ~63
    return registerCode(ramOffset | UInt64(start), UInt64(end &- start))
  }

  /// Marks bytes of RAM, which lie in one page, as decoded. Before they are read.
  ///
  /// - Returns: the page's version.
  @discardableResult
  func registerCode(_ ramOffset: UInt64, _ byteCount: UInt64) -> UInt32 {
    let page = ramOffset >> 12
    // SAFETY: the page is one of RAM.
    let isFirst = unsafe state.codeChunks[Int(page)] == 0
    let registration = unsafe env.memory.codeTracker.registerCode(
      mappingOffset: ramOffset, byteCount: byteCount, by: attentionWord)
    if registration.closing != 0 { awaitClosing(registration.closing) }
    if isFirst { env.tlb.closeToWrites(ramPage: page) }
    return registration.version
  }

  /// An instruction that crosses into the next page, or over the code segment's limit: decoded each
  /// time, into a block of its own that the table does not keep.
  @inline(never)
  private func buildStraddlingBlock(_ physical: UInt64) -> UnsafePointer<Block>? {
    let right: AccessRight = state.privilegeLevel == 3 ? .user : .supervisor
    let limit = state.mode.is64Bit ? UInt64.max : UInt64(state.segments[1].limit)
    let inPage = 4096 - Int(physical & 4095)
    var bytes: InlineArray<16, UInt8> = .init(repeating: 0)
    var available = 0
    var secondPage: UInt64?
    while available < 15 {
      guard rip &+ UInt64(available) <= limit else { break }
      if available < inPage {
        let position = Int(physical & 4095) + available
        bytes[available] = unsafe state.codeHost.unsafelyUnwrapped[position]
      } else {
        if secondPage == nil {
          var instruction = Instruction.empty
          let outcome = Decoder(mode: state.mode.codeMode).decode(
            bytes.span.extracting(0..<available), into: &instruction)
          if outcome != .needsMoreBytes { break }
          let next = (state.linearBase[1] &+ rip &+ UInt64(available)) & state.linearMask
          guard let address = translate(next, .execute, right, segment: 1) else { return nil }
          secondPage = address & ~4095
        }
        let address = secondPage! | UInt64(available - inPage)
        bytes[available] =
          unsafe env.hostAddress(address, byteCount: 1)?.load(as: UInt8.self) ?? 0xFF
      }
      available += 1
    }
    var instruction = Instruction.empty
    let outcome = Decoder(mode: state.mode.codeMode).decode(
      bytes.span.extracting(0..<available), into: &instruction)
    switch outcome {
    case .decoded: break
    case .invalid:
      instruction.operation = .invalid
      instruction.length = max(instruction.length, 1)
    case .tooLong, .needsMoreBytes:
      // Over 15 bytes, or over the segment's limit.
      raise(.generalProtection, 0)
      return nil
    }
    let cache = env.blocks
    var micro = lower(instruction)
    finish(&micro, instruction)
    let first = unsafe UnsafePointer(cache.arena + cache.arenaCount)
    cache.append(micro)
    // SAFETY: the scratch block is this vCPU's and used before the next one is built.
    unsafe env.scratchBlock.pointee = Block(
      physical: ~0, mode: state.mode, count: 1, byteLength: UInt16(instruction.length), version: 0,
      first: first)
    return unsafe UnsafePointer(env.scratchBlock)
  }

  /// Whether nothing may follow an instruction in its block.
  private func endsBlock(_ micro: MicroInstruction, _ instruction: Instruction) -> Bool {
    if instruction.traits.contains(.changesControlFlow) { return true }
    return micro.handler == .undefined
  }
}

extension ExecutionMode {
  var codeMode: CodeMode { is64Bit ? .bits64 : (codeWidth == 4 ? .bits32 : .bits16) }
}
