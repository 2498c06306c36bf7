import CHost
import X86

/// What an access wants to do.
enum AccessKind: UInt8 {
  case read
  case write
  case execute
}

/// With what right it does it.
enum AccessRight: UInt8 {
  case user
  case supervisor
  /// Supervisor with EFLAGS.AC set: SMAP does not apply.
  case supervisorOverride
}

/// Where a linear page lies.
struct PageTranslation {
  var physicalPage: UInt64
  var isWritable: Bool
  var isExecutable: Bool
  var isGlobal: Bool
  /// 4 KiB, or the size of the large page it is part of.
  var pageSize: UInt64
}

/// Bits of a #PF error code (SDM 3A 4.7).
enum PageFaultCode {
  static let present: UInt32 = 1 << 0
  static let write: UInt32 = 1 << 1
  static let user: UInt32 = 1 << 2
  static let reserved: UInt32 = 1 << 3
  static let fetch: UInt32 = 1 << 4
}

/// The outcome of a page walk.
enum WalkResult {
  case translated(PageTranslation)
  case fault(UInt32)
}

/// Bits of a page-table entry (SDM 3A 4.5).
private enum Entry {
  static let present: UInt64 = 1 << 0
  static let writable: UInt64 = 1 << 1
  static let user: UInt64 = 1 << 2
  static let accessed: UInt64 = 1 << 5
  static let dirty: UInt64 = 1 << 6
  static let large: UInt64 = 1 << 7
  static let global: UInt64 = 1 << 8
  static let noExecute: UInt64 = 1 << 63
  static let address: UInt64 = 0x000F_FFFF_FFFF_F000
}

extension CPU {
  /// MAXPHYADDR: physical addresses have 46 bits, as CPUID 0x80000008 says.
  static let physicalAddressBits: UInt64 = 46
  private static let reservedAddressBits: UInt64 =
    Entry.address & ~((1 << physicalAddressBits) - 1)

  /// Walks the page tables for one access, setting accessed and dirty bits.
  @inline(never)
  func walk(_ linear: UInt64, _ kind: AccessKind, _ right: AccessRight) -> WalkResult {
    let cr0 = CR0(rawValue: state.cr0)
    guard cr0.contains(.paging) else {
      return .translated(
        PageTranslation(
          physicalPage: linear & ~4095, isWritable: true, isExecutable: true, isGlobal: false,
          pageSize: 4096))
    }
    let cr4 = CR4(rawValue: state.cr4)
    if state.efer & ExtendedFeatureEnable.longModeActive.rawValue != 0 {
      return walk64(linear, table: state.cr3 & Entry.address, shift: 39, kind, right)
    }
    if cr4.contains(.physicalAddressExtension) {
      let pointer = state.pageDirectoryPointers[Int(truncatingIfNeeded: (linear >> 30) & 3)]
      guard pointer & Entry.present != 0 else {
        return .fault(faultCode(kind, right, present: false))
      }
      return walk64(linear, table: pointer & Entry.address, shift: 21, kind, right)
    }
    return walk32(linear, kind, right, largePages: cr4.contains(.pageSizeExtensions))
  }

  /// PAE's two lower levels, or all four of IA-32e paging.
  private func walk64(
    _ linear: UInt64, table: UInt64, shift: UInt64, _ kind: AccessKind, _ right: AccessRight
  ) -> WalkResult {
    var table = table
    var shift = shift
    var writable = true
    var user = true
    var executable = true
    let noExecuteEnabled = state.efer & ExtendedFeatureEnable.noExecuteEnable.rawValue != 0
    var reserved = CPU.reservedAddressBits
    if !noExecuteEnabled { reserved |= Entry.noExecute }
    if state.efer & ExtendedFeatureEnable.longModeActive.rawValue == 0 {
      reserved |= 0x7FF0_0000_0000_0000
    }
    while true {
      let address = table + ((linear >> shift) & 511) * 8
      var entry = loadTable64(address)
      guard entry & Entry.present != 0 else {
        return .fault(faultCode(kind, right, present: false))
      }
      let isLarge = entry & Entry.large != 0 && shift > 12
      var reservedHere = reserved
      if isLarge {
        if shift == 39 {
          reservedHere |= Entry.large
        } else {
          reservedHere |= ((1 << shift) - 1) & 0x000F_FFFF_FFFF_E000
        }
      }
      guard entry & reservedHere == 0 else {
        return .fault(faultCode(kind, right, present: true) | PageFaultCode.reserved)
      }
      writable = writable && entry & Entry.writable != 0
      user = user && entry & Entry.user != 0
      executable = executable && entry & Entry.noExecute == 0
      guard isLarge || shift == 12 else {
        if entry & Entry.accessed == 0 {
          guard setTableBits64(address, &entry, Entry.accessed) else { continue }
        }
        table = entry & Entry.address
        shift -= 9
        continue
      }
      guard allows(kind, right, writable: writable, user: user, executable: executable) else {
        return .fault(faultCode(kind, right, present: true))
      }
      let wanted = Entry.accessed | (kind == .write ? Entry.dirty : 0)
      if entry & wanted != wanted {
        guard setTableBits64(address, &entry, wanted) else { continue }
      }
      let size: UInt64 = 1 << shift
      let base = entry & Entry.address & ~(size - 1)
      return .translated(
        translation(
          linear, base: base, size: size, entry: entry, writable: writable, user: user,
          executable: executable, right))
    }
  }

  private func walk32(
    _ linear: UInt64, _ kind: AccessKind, _ right: AccessRight, largePages: Bool
  ) -> WalkResult {
    while true {
      let directoryAddress = (state.cr3 & 0xFFFF_F000) + ((linear >> 22) & 1023) * 4
      var directory = loadTable32(directoryAddress)
      guard directory & 1 != 0 else { return .fault(faultCode(kind, right, present: false)) }
      var writable = directory & UInt32(Entry.writable) != 0
      var user = directory & UInt32(Entry.user) != 0
      if largePages, directory & UInt32(Entry.large) != 0 {
        // Bit 21 is reserved; bits 20:13 are address bits 39:32 (PSE-36).
        guard directory & (1 << 21) == 0 else {
          return .fault(faultCode(kind, right, present: true) | PageFaultCode.reserved)
        }
        guard allows(kind, right, writable: writable, user: user, executable: true) else {
          return .fault(faultCode(kind, right, present: true))
        }
        let wanted = UInt32(Entry.accessed | (kind == .write ? Entry.dirty : 0))
        if directory & wanted != wanted {
          guard setTableBits32(directoryAddress, &directory, wanted) else { continue }
        }
        let base = UInt64(directory & 0xFFC0_0000) | UInt64((directory >> 13) & 0xFF) << 32
        return .translated(
          translation(
            linear, base: base, size: 1 << 22, entry: UInt64(directory), writable: writable,
            user: user, executable: true, right))
      }
      if directory & UInt32(Entry.accessed) == 0 {
        guard setTableBits32(directoryAddress, &directory, UInt32(Entry.accessed)) else { continue }
      }
      let address = UInt64(directory & 0xFFFF_F000) + ((linear >> 12) & 1023) * 4
      var entry = loadTable32(address)
      guard entry & 1 != 0 else { return .fault(faultCode(kind, right, present: false)) }
      writable = writable && entry & UInt32(Entry.writable) != 0
      user = user && entry & UInt32(Entry.user) != 0
      guard allows(kind, right, writable: writable, user: user, executable: true) else {
        return .fault(faultCode(kind, right, present: true))
      }
      let wanted = UInt32(Entry.accessed | (kind == .write ? Entry.dirty : 0))
      if entry & wanted != wanted {
        guard setTableBits32(address, &entry, wanted) else { continue }
      }
      return .translated(
        translation(
          linear, base: UInt64(entry & 0xFFFF_F000), size: 4096, entry: UInt64(entry),
          writable: writable, user: user, executable: true, right))
    }
  }

  /// What later accesses of the same right may do with the page.
  private func translation(
    _ linear: UInt64, base: UInt64, size: UInt64, entry: UInt64, writable: Bool, user: Bool,
    executable: Bool, _ right: AccessRight
  ) -> PageTranslation {
    let mayWrite =
      entry & Entry.dirty != 0
      && allows(.write, right, writable: writable, user: user, executable: executable)
    let mayExecute =
      right != .supervisorOverride
      && allows(.execute, right, writable: writable, user: user, executable: executable)
    return PageTranslation(
      physicalPage: base | (linear & (size - 1) & ~4095), isWritable: mayWrite,
      isExecutable: mayExecute,
      isGlobal: entry & Entry.global != 0 && state.cr4 & CR4.pageGlobalEnable.rawValue != 0,
      pageSize: size)
  }

  /// SDM 3A 4.6.1.
  private func allows(
    _ kind: AccessKind, _ right: AccessRight, writable: Bool, user: Bool, executable: Bool
  ) -> Bool {
    let cr4 = CR4(rawValue: state.cr4)
    switch right {
    case .user:
      guard user else { return false }
      switch kind {
      case .read: return true
      case .write: return writable
      case .execute: return executable
      }
    case .supervisor, .supervisorOverride:
      switch kind {
      case .execute:
        return executable && !(user && cr4.contains(.supervisorExecutionPrevention))
      case .read, .write:
        if user, right == .supervisor, cr4.contains(.supervisorAccessPrevention) { return false }
        return kind == .read || writable || state.cr0 & CR0.writeProtect.rawValue == 0
      }
    }
  }

  private func faultCode(_ kind: AccessKind, _ right: AccessRight, present: Bool) -> UInt32 {
    var code: UInt32 = present ? PageFaultCode.present : 0
    if kind == .write { code |= PageFaultCode.write }
    if right == .user { code |= PageFaultCode.user }
    let reportsFetch =
      state.cr4 & CR4.supervisorExecutionPrevention.rawValue != 0
      || (state.efer & ExtendedFeatureEnable.noExecuteEnable.rawValue != 0
        && state.cr4 & CR4.physicalAddressExtension.rawValue != 0)
    if kind == .execute, reportsFetch { code |= PageFaultCode.fetch }
    return code
  }

  // MARK: Table entries in RAM

  func loadTable64(_ address: UInt64) -> UInt64 {
    guard let host = unsafe env.hostAddress(address, byteCount: 8) else { return ~0 }
    // SAFETY: `hostAddress` checked the range.
    return unsafe host.loadUnaligned(as: UInt64.self)
  }

  func loadTable32(_ address: UInt64) -> UInt32 {
    guard let host = unsafe env.hostAddress(address, byteCount: 4) else { return ~0 }
    // SAFETY: `hostAddress` checked the range.
    return unsafe host.loadUnaligned(as: UInt32.self)
  }

  /// Sets bits atomically; `false` if another CPU changed the entry, which must then be read again.
  private func setTableBits64(_ address: UInt64, _ entry: inout UInt64, _ bits: UInt64) -> Bool {
    guard let host = unsafe env.hostAddress(address, byteCount: 8) else { return true }
    var expected = entry
    // SAFETY: `hostAddress` checked the range.
    guard unsafe chost_cas64(host, &expected, entry | bits) else { return false }
    entry |= bits
    env.noteWrite(physical: address, byteCount: 8, by: self)
    return true
  }

  private func setTableBits32(_ address: UInt64, _ entry: inout UInt32, _ bits: UInt32) -> Bool {
    guard let host = unsafe env.hostAddress(address, byteCount: 4) else { return true }
    var expected = entry
    // SAFETY: `hostAddress` checked the range.
    guard unsafe chost_cas32(host, &expected, entry | bits) else { return false }
    entry |= bits
    env.noteWrite(physical: address, byteCount: 4, by: self)
    return true
  }

  /// Loads the four PDPTEs of PAE paging. Returns false where reserved bits call for #GP(0).
  func loadPageDirectoryPointers(_ cr3: UInt64) -> Bool {
    let table = cr3 & 0xFFFF_FFE0
    var pointers: InlineArray<4, UInt64> = .init(repeating: 0)
    for index in 0..<4 {
      let entry = loadTable64(table + UInt64(index) * 8)
      let reserved: UInt64 = 0x1E6 | ~((1 << CPU.physicalAddressBits) - 1)
      if entry & 1 != 0, entry & reserved != 0 { return false }
      pointers[index] = entry
    }
    state.pageDirectoryPointers = pointers
    return true
  }
}
