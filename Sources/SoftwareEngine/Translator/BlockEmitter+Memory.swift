import X86
import X86Decoder

/// Addresses and TLB look-ups.
extension BlockEmitter {
  /// The byte offset of the TLB set that this block's data accesses use.
  private var set: Int { VirtualCPUMemory.Offset.tlb + setNumber * TLBSet.byteCount }

  var setNumber: Int {
    key.has(TranslationKey.user) ? 0 : (key.has(TranslationKey.override) ? 2 : 1)
  }

  /// The set that its code is fetched by.
  var executeSet: Int {
    VirtualCPUMemory.Offset.tlb + (key.has(TranslationKey.user) ? 0 : 1) * TLBSet.byteCount
  }

  /// Loads a guest register that lives in memory into a scratch register, or names its host register.
  mutating func fetch(_ guest: UInt8, into scratch: UInt8) -> UInt8 {
    if let host = Host.register(guest) { return host }
    code.load(scratch, .state(StateOffset.register(guest)))
    return scratch
  }

  /// The memory operand's offset in its segment, in R14. Uses RCX.
  mutating func emitOffset(_ i: Instruction) {
    let isWide = i.addressSize == 8
    if i.base == Instruction.ripRegister {
      code.load(Host.r14, .state(StateOffset.codePage))
      emitAdd(Int64(nextOffset) + i.displacement, isWide: isWide)
      return
    }
    let hasBase = i.base < 16
    let hasIndex = i.index < 16
    guard hasBase || hasIndex else {
      let value = UInt64(bitPattern: i.displacement)
      code.moveImmediate(Host.r14, isWide ? value : value & 0xFFFF_FFFF)
      return
    }
    let displacement = Int32(truncatingIfNeeded: i.displacement)
    let base = hasBase ? fetch(i.base, into: Host.r14) : nil
    let index = hasIndex ? fetch(i.index, into: Host.rcx) : 4
    code.address(
      Host.r14, base: base, index: index, scale: hasIndex ? i.scale : 0, displacement,
      isWide: isWide)
  }

  /// Adds a constant to R14.
  mutating func emitAdd(_ value: Int64, isWide: Bool) {
    if isWide { return code.address(Host.r14, base: Host.r14, distance: value) }
    code.address(Host.r14, base: Host.r14, Int32(truncatingIfNeeded: value), isWide: false)
  }

  /// The memory operand's linear address, in R14. `false`: its segment is not plain.
  mutating func emitLinear(_ i: Instruction) -> Bool {
    let isThread = i.segment == 4 || i.segment == 5
    if !is64Bit {
      if i.segment == 4, !key.has(TranslationKey.plainFS) { return false }
      if i.segment == 5, !key.has(TranslationKey.plainGS) { return false }
      // CS may be execute-only, and is never written through.
      if i.segment == 1 { return false }
    }
    emitOffset(i)
    if isThread {
      code.load(Host.rcx, .state(StateOffset.linearBase + Int(i.segment) * 8))
      code.address(Host.r14, base: Host.r14, index: Host.rcx, 0, isWide: is64Bit)
    }
    return true
  }

  /// With a linear address in R14: leaves [R14 + RCX] its `size` bytes, or goes to the slow site.
  mutating func emitLookUp(_ i: Instruction, size: Int, isWrite: Bool) {
    let isShort = releaseFlags()
    let retry = unsafe code.cursor
    let place = unsafe emitLookUp(size: size, isWrite: isWrite, isShort: isShort)
    let site = requireSlowSite(i)
    // SAFETY: `isFull` ends the block in time.
    unsafe (translator.pending + pendingCount).initialize(
      to: PendingJump(
        place: place, site: site, flags: flagsNow, retry: retry,
        refill: UInt8(setNumber + (isWrite ? 3 : 0)), isShort: isShort,
        isEdge: false))
    pendingCount += 1
  }

  /// The same; returns the rel32 of the jump that is taken where the page is not there.
  mutating func emitRunLookUp(size: Int, isWrite: Bool) -> UnsafeMutablePointer<UInt8> {
    unsafe emitLookUp(size: size, isWrite: isWrite, isShort: releaseFlags())
  }

  private func tags(_ isWrite: Bool) -> Int {
    set + (isWrite ? TLBSet.writeTags : TLBSet.readTags)
  }

  /// A short look-up changes the flags, and leaves the offset in the page in R14; the other leaves it the
  /// linear address.
  private mutating func emitLookUp(
    size: Int, isWrite: Bool, isShort: Bool
  ) -> UnsafeMutablePointer<UInt8> {
    code.extract(Host.rcx, Host.r14, mask: StateOffset.indexMask)
    if isShort {
      // The sum is the offset in the page if the tag is the page's.
      code.legacy(
        HostOpcode(opcode: 0x03, isWide: true), Host.r14,
        .stateArray(tags(isWrite), index: Host.rcx))
      code.bytes(0x49, 0x81, 0xFE)  // cmp r14, …
      code.word32(Int32(4096 - size))
      code.bytes(0x0F, 0x87)  // ja
      let place = unsafe code.displacement(to: nil)
      code.load(Host.rcx, .stateArray(set + TLBSet.hostPages, index: Host.rcx))
      return unsafe place
    }
    code.load(Host.rcx, .stateArray(tags(isWrite), index: Host.rcx))
    code.address(Host.rcx, base: Host.rcx, index: Host.r14, Int32(size - 1))
    code.extract(Host.rcx, Host.rcx, mask: StateOffset.pageMask)
    code.bytes(0xE3, 0x05)  // jrcxz +5
    let place = unsafe code.jump(nil)
    code.extract(Host.rcx, Host.r14, mask: StateOffset.indexMask)
    code.load(Host.rcx, .stateArray(set + TLBSet.addends, index: Host.rcx))
    return unsafe place
  }
}
