import CHost
import GuestMemory
import X86

/// What the fast path leaves over: segment checks, misses, page crossings, devices, watchpoints.
extension CPU {
  @inline(never)
  func readSlow<T: GuestInteger>(_ segment: UInt8, _ offset: UInt64) -> T? {
    let size = UInt64(MemoryLayout<T>.size)
    guard let linear = linearAddress(segment, offset, size, .read) else { return nil }
    guard let value = readLinear(linear, size, dataRight, segment: segment) else { return nil }
    return T(truncatingIfNeeded: value)
  }

  @inline(never)
  func writeSlow<T: GuestInteger>(_ segment: UInt8, _ offset: UInt64, _ value: T) -> Bool {
    let size = UInt64(MemoryLayout<T>.size)
    guard let linear = linearAddress(segment, offset, size, .write) else { return false }
    return writeLinear(
      linear, size, UInt64(truncatingIfNeeded: value), dataRight, segment: segment)
  }

  @inline(never)
  func modifySlow<T: GuestInteger>(
    _ segment: UInt8, _ offset: UInt64, isLocked: Bool, _ body: (T) -> T
  ) -> Bool {
    let size = UInt64(MemoryLayout<T>.size)
    guard let linear = linearAddress(segment, offset, size, .write) else { return false }
    guard probeWrite(linear, size, dataRight, segment: segment) else { return false }
    if let host = unsafe hostForWrite(linear, size, dataRight) {
      // SAFETY: `hostForWrite` returned `size` bytes of RAM.
      var old = unsafe host.loadUnaligned(as: T.self)
      while unsafe !T.compareExchange(host, &old, body(old)) {}
      return noteLinearStore(linear, size)
    }
    // A device, or across pages: there is no single host location to lock.
    if isLocked { env.splitLock.lock() }
    defer { if isLocked { env.splitLock.unlock() } }
    guard let old = readLinear(linear, size, dataRight, segment: segment) else { return false }
    let result = state.flagResult
    let auxiliary = state.flagAuxiliary
    let new = UInt64(truncatingIfNeeded: body(T(truncatingIfNeeded: old)))
    guard writeLinear(linear, size, new, dataRight, segment: segment) else {
      state.flagResult = result
      state.flagAuxiliary = auxiliary
      return false
    }
    return true
  }

  /// The right of an instruction's own data accesses.
  @inline(__always)
  var dataRight: AccessRight {
    if state.privilegeLevel == 3 { return .user }
    return state.otherFlags & Flags.alignmentCheck.rawValue != 0 ? .supervisorOverride : .supervisor
  }

  // MARK: Segmentation

  /// Checks an access against its segment and yields the linear address.
  func linearAddress(
    _ segment: UInt8, _ offset: UInt64, _ size: UInt64, _ kind: AccessKind
  ) -> UInt64? {
    let index = Int(segment)
    guard index < 6 else { return offset }
    if !state.mode.is64Bit {
      guard segmentAllows(state.segments[index], offset, size, kind) else {
        raise(segment == SegmentRegister.ss.rawValue ? .stackFault : .generalProtection, 0)
        return nil
      }
    }
    let linear = (state.linearBase[index] &+ offset) & state.linearMask
    if isAlignmentChecked, size > 1, linear & (size - 1) != 0, size <= 16 {
      if state.mode.is64Bit, !isCanonical(linear) {
        raise(segment == SegmentRegister.ss.rawValue ? .stackFault : .generalProtection, 0)
      } else {
        raise(.alignmentCheck, 0)
      }
      return nil
    }
    if state.dr7 & 0xFF != 0 { noteWatchpoints(linear, size, kind) }
    return linear
  }

  /// SDM 3A 5.3, 5.4.
  private func segmentAllows(
    _ segment: Segment, _ offset: UInt64, _ size: UInt64, _ kind: AccessKind
  ) -> Bool {
    let type = segment.attributes & 15
    let isUnusable = segment.attributes & (1 << 16) != 0
    if !state.mode.isParagraphMode {
      guard !isUnusable else { return false }
      let isCode = type & 8 != 0
      switch kind {
      case .read: guard !isCode || type & 2 != 0 else { return false }
      case .write: guard !isCode, type & 2 != 0 else { return false }
      case .execute: break
      }
    }
    let last = offset &+ (size - 1)
    guard last >= offset else { return false }
    if type & 0xC == 4, !isUnusable {
      let upper: UInt64 = segment.attributes & (1 << 14) != 0 ? 0xFFFF_FFFF : 0xFFFF
      return offset > UInt64(segment.limit) && last <= upper
    }
    return last <= UInt64(segment.limit)
  }

  var isAlignmentChecked: Bool {
    state.privilegeLevel == 3 && state.cr0 & CR0.alignmentMask.rawValue != 0
      && state.otherFlags & Flags.alignmentCheck.rawValue != 0
  }

  @inline(__always)
  func isCanonical(_ linear: UInt64) -> Bool {
    UInt64(bitPattern: Int64(bitPattern: linear &<< 16) &>> 16) == linear
  }

  // MARK: Linear accesses

  /// Translates, and enters the page into the TLB. `nil`: a fault was recorded.
  @inline(never)
  func translate(
    _ linear: UInt64, _ kind: AccessKind, _ right: AccessRight, segment: UInt8 = 3
  ) -> UInt64? {
    if state.mode.isLong, !isCanonical(linear) {
      raise(segment == SegmentRegister.ss.rawValue ? .stackFault : .generalProtection, 0)
      return nil
    }
    switch walk(linear, kind, right) {
    case .fault(let code):
      state.cr2 = linear
      raise(.pageFault, code)
      return nil
    case .translated(let page):
      enter(page, linear, kind, right)
      return page.physicalPage | (linear & 4095)
    }
  }

  /// Puts a page of RAM into the TLB.
  private func enter(
    _ page: PageTranslation, _ linear: UInt64, _ kind: AccessKind, _ right: AccessRight
  ) {
    guard let host = unsafe env.hostAddress(page.physicalPage, byteCount: 4096),
      let offset = env.ramOffset(page.physicalPage, byteCount: 4096)
    else { return }
    let ramPage = offset >> 12
    if kind == .execute {
      env.tlb.enterCode(linear, right, ramPage: ramPage, isGlobal: page.isGlobal)
    } else if !env.missesEveryAccess {
      // SAFETY: a page of RAM has a word.
      unsafe env.tlb.enterData(
        linear, right, ramPage: ramPage, host: host, chunkWord: state.codeChunks + Int(ramPage),
        isWritable: page.isWritable, isGlobal: page.isGlobal)
    }
    if page.pageSize > 4096 { env.tlb.noteLargePage(linear, byteCount: page.pageSize) }
  }

  /// Reads 1…8 bytes, across pages too.
  @inline(never)
  func readLinear(
    _ linear: UInt64, _ size: UInt64, _ right: AccessRight, segment: UInt8 = 3
  ) -> UInt64? {
    let inFirst = min(size, 4096 - (linear & 4095))
    guard let first = translate(linear, .read, right, segment: segment) else { return nil }
    if inFirst == size { return readPhysical(first, size) }
    let next = (linear &+ inFirst) & systemMask
    guard let second = translate(next, .read, right, segment: segment) else { return nil }
    guard let low = readPhysical(first, inFirst),
      let high = readPhysical(second, size - inFirst)
    else { return nil }
    return low | high << (8 * inFirst)
  }

  /// Writes 1…8 bytes, across pages too, all or nothing.
  @inline(never)
  func writeLinear(
    _ linear: UInt64, _ size: UInt64, _ value: UInt64, _ right: AccessRight, segment: UInt8 = 3
  ) -> Bool {
    let inFirst = min(size, 4096 - (linear & 4095))
    guard let first = translate(linear, .write, right, segment: segment) else { return false }
    if inFirst == size { return writePhysical(first, size, value) }
    let next = (linear &+ inFirst) & systemMask
    guard let second = translate(next, .write, right, segment: segment) else { return false }
    return writePhysical(first, inFirst, value)
      && writePhysical(second, size - inFirst, value >> (8 * inFirst))
  }

  /// Checks that all of a range can be written.
  func probeWrite(
    _ linear: UInt64, _ size: UInt64, _ right: AccessRight, segment: UInt8 = 3
  ) -> Bool {
    guard translate(linear, .write, right, segment: segment) != nil else { return false }
    let inFirst = 4096 - (linear & 4095)
    guard size > inFirst else { return true }
    let next = (linear &+ inFirst) & systemMask
    return translate(next, .write, right, segment: segment) != nil
  }

  /// The host address of bytes that lie in one RAM page and may be written; no fault is recorded.
  func hostForWrite(
    _ linear: UInt64, _ size: UInt64, _ right: AccessRight
  ) -> UnsafeMutableRawPointer? {
    guard (linear & 4095) + size <= 4096,
      case .translated(let page) = walk(linear, .write, right)
    else { return nil }
    return unsafe env.hostAddress(page.physicalPage | (linear & 4095), byteCount: size)
  }

  private func noteLinearStore(_ linear: UInt64, _ size: UInt64) -> Bool {
    guard case .translated(let page) = walk(linear, .write, dataRight) else { return true }
    env.noteWrite(
      physical: page.physicalPage | (linear & 4095), byteCount: size, by: self)
    return true
  }

  // MARK: Physical accesses

  /// Reads 1…8 bytes of RAM, the local APIC or a device.
  func readPhysical(_ address: UInt64, _ size: UInt64) -> UInt64? {
    if let host = unsafe env.hostAddress(address, byteCount: size) {
      // SAFETY: `hostAddress` checked the range.
      switch size {
      case 8: return unsafe host.loadUnaligned(as: UInt64.self)
      case 4: return unsafe UInt64(host.loadUnaligned(as: UInt32.self))
      case 2: return unsafe UInt64(host.loadUnaligned(as: UInt16.self))
      case 1: return unsafe UInt64(host.load(as: UInt8.self))
      default: break
      }
    }
    if let value = env.readLocalAPIC(address, size) { return value }
    guard size == 1 || size == 2 || size == 4 || size == 8 else {
      // An odd piece of an access across pages: byte by byte.
      var value: UInt64 = 0
      for byte in 0..<size {
        guard let part = readPhysical(address + byte, 1) else { return nil }
        value |= part << (8 * byte)
      }
      return value
    }
    return readDevice(address, size)
  }

  func writePhysical(_ address: UInt64, _ size: UInt64, _ value: UInt64) -> Bool {
    if let host = unsafe env.hostAddress(address, byteCount: size) {
      // SAFETY: `hostAddress` checked the range.
      switch size {
      case 8: unsafe host.storeBytes(of: value, as: UInt64.self)
      case 4: unsafe host.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
      case 2: unsafe host.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
      case 1: unsafe host.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
      default:
        for byte in 0..<Int(size) {
          unsafe host.storeBytes(
            of: UInt8(truncatingIfNeeded: value >> (8 * UInt64(byte))), toByteOffset: byte,
            as: UInt8.self)
        }
      }
      env.noteWrite(physical: address, byteCount: size, by: self)
      return true
    }
    if env.writeLocalAPIC(address, size, value, by: self) { return true }
    guard size == 1 || size == 2 || size == 4 || size == 8 else {
      for byte in 0..<size {
        guard writePhysical(address + byte, 1, (value >> (8 * byte)) & 0xFF) else { return false }
      }
      return true
    }
    return writeDevice(address, size, value)
  }

  /// A device read: answered from the replay log, or an exit.
  private func readDevice(_ address: UInt64, _ size: UInt64) -> UInt64? {
    if let value = nextReplayValue() { return value & (~0 >> (64 - 8 * size)) }
    leave(.mmioRead, width: UInt8(truncatingIfNeeded: size), address: address)
    return nil
  }

  private func writeDevice(_ address: UInt64, _ size: UInt64, _ value: UInt64) -> Bool {
    if skipReplayedWrite() { return true }
    let masked = value & (~0 >> (64 - 8 * size))
    leave(.mmioWrite, width: UInt8(truncatingIfNeeded: size), address: address, value: masked)
    return false
  }

  // MARK: Replay

  /// The machine's next answer for the instruction being replayed; `nil` when a new exit is due.
  func nextReplayValue() -> UInt64? {
    guard state.replay.cursor < state.replay.valueCount else { return nil }
    defer { state.replay.cursor &+= 1 }
    return state.replay.values[Int(state.replay.cursor)]
  }

  /// Whether the machine has carried out this write already.
  func skipReplayedWrite() -> Bool {
    guard state.replay.writeCursor < state.replay.writeCount else { return false }
    state.replay.writeCursor &+= 1
    return true
  }

  /// Forgets the answers: the instruction, or an iteration of a string instruction, is complete.
  @inline(__always)
  func endReplay() {
    state.replay.valueCount = 0
    state.replay.cursor = 0
    state.replay.writeCount = 0
    state.replay.writeCursor = 0
  }

  // MARK: System structures

  /// Linear addresses have 64 bits in all of IA-32e mode, compatibility mode included, as far as system
  /// structures are concerned.
  @inline(__always) private var systemMask: UInt64 { state.mode.isLong ? ~0 : 0xFFFF_FFFF }

  /// Reads a descriptor table, TSS or the like: a supervisor access whatever the CPL.
  func readSystem(_ linear: UInt64, _ size: UInt64) -> UInt64? {
    readLinear(linear & systemMask, size, .supervisor)
  }

  func writeSystem(_ linear: UInt64, _ size: UInt64, _ value: UInt64) -> Bool {
    writeLinear(linear & systemMask, size, value, .supervisor)
  }

  // MARK: Blocks of bytes

  /// Copies guest memory to a host buffer, with all checks first.
  func readBytes(
    _ segment: UInt8, _ offset: UInt64, _ count: Int, into buffer: UnsafeMutableRawPointer
  ) -> Bool {
    guard count > 0, let linear = linearAddress(segment, offset, UInt64(count), .read) else {
      return count == 0
    }
    return copy(linear, count, .read, segment) { address, size, position in
      guard let value = readPhysical(address, size) else { return false }
      for byte in 0..<Int(size) {
        unsafe buffer.storeBytes(
          of: UInt8(truncatingIfNeeded: value >> (8 * UInt64(byte))),
          toByteOffset: position + byte, as: UInt8.self)
      }
      return true
    }
  }

  func writeBytes(
    _ segment: UInt8, _ offset: UInt64, _ count: Int, from buffer: UnsafeRawPointer
  ) -> Bool {
    guard count > 0, let linear = linearAddress(segment, offset, UInt64(count), .write) else {
      return count == 0
    }
    return copy(linear, count, .write, segment) { address, size, position in
      var value: UInt64 = 0
      for byte in 0..<Int(size) {
        value |=
          unsafe UInt64(
            buffer.load(fromByteOffset: position + byte, as: UInt8.self)) << (8 * UInt64(byte))
      }
      return writePhysical(address, size, value)
    }
  }

  /// Runs `body` over the range in pieces of at most 8 bytes that cross no page, after all pages
  /// were found accessible.
  private func copy(
    _ linear: UInt64, _ count: Int, _ kind: AccessKind, _ segment: UInt8,
    _ body: (UInt64, UInt64, Int) -> Bool
  ) -> Bool {
    var page = linear & ~4095
    let last = linear &+ UInt64(count - 1)
    var pages = [UInt64]()
    while true {
      let start = page == linear & ~4095 ? linear : page & state.linearMask
      guard let address = translate(start, kind, dataRight, segment: segment) else { return false }
      pages.append(address & ~4095)
      guard page != last & ~4095 else { break }
      page &+= 4096
    }
    var position = 0
    while position < count {
      let offset = (linear & 4095) + UInt64(position)
      let inPage = 4096 - (offset & 4095)
      let size = min(8, min(inPage, UInt64(count - position)))
      let piece: UInt64 = size == 8 ? 8 : (size >= 4 ? 4 : (size >= 2 ? 2 : 1))
      guard body(pages[Int(offset >> 12)] | (offset & 4095), piece, position) else { return false }
      position += Int(piece)
    }
    return true
  }
}
