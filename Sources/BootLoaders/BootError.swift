public import GuestMemory
public import MachineTypes

/// Why a kernel cannot be booted. The description says what is wrong and what to do.
public enum BootError: Error, Hashable, Sendable {
  /// The file is not a kernel that Martlet boots.
  case foreign(BootImage.Kind)
  /// The file ends before something its headers promise.
  case truncated(what: String, needed: UInt64, available: UInt64)
  /// A header contradicts itself or the format.
  case damaged(String)
  /// A bzImage of a boot protocol before 2.06 (Linux 2.6.22).
  case protocolTooOld(version: UInt16)
  case entryNotOffered(BootEntry, by: BootImage.Kind)
  case kernelAddress(GuestPhysicalAddress, AddressRefusal)
  /// The kernel needs `range` to be usable RAM; `name` says for what.
  case memoryTooSmall(name: String, needed: Range<UInt64>)
  /// Lengths in bytes without the terminating NUL.
  case commandLineTooLong(byteCount: Int, limit: Int)
  case commandLineContainsNUL
  /// The largest page-aligned gap the RAM disk could have used had `room` bytes.
  case initialRAMDiskTooLarge(byteCount: Int, room: UInt64)
  case setupDataTooLarge(byteCount: Int, limit: Int)
  case memoryMapTooLong(entries: Int, limit: Int)
  case memory(GuestMemoryError)
}

/// Why a kernel may not be loaded at an address.
public enum AddressRefusal: Hashable, Sendable {
  /// The header says that the kernel runs only where it was linked.
  case notRelocatable(only: GuestPhysicalAddress)
  case misaligned(alignment: UInt64)
  case belowMinimum(GuestPhysicalAddress)
  /// Its last byte would lie above the highest address allowed.
  case aboveMaximum(lastByte: UInt64, maximum: UInt64)
  /// The kernel or its entry cannot lie above 4 GiB.
  case above4GiB
  /// The memory that the kernel needs there is not all usable RAM.
  case notUsableMemory(Range<UInt64>)
}

extension BootError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .foreign(let kind): kind.refusal
    case .truncated(let what, let needed, let available):
      "the kernel file is cut short: \(what) ends at byte \(needed) of a file of \(available) bytes; copy or download it again"
    case .damaged(let what):
      "the kernel file is damaged: \(what); copy or download it again"
    case .protocolTooOld(let version):
      "the kernel speaks version \(version >> 8).\(twoDigits(version & 0xFF)) of the Linux boot protocol: at least 2.06 (Linux 2.6.22) is needed; choose a newer kernel"
    case .entryNotOffered(let entry, let kind):
      "\(kind) has no \(entry.name) entry point: choose another entry or leave the choice to Martlet"
    case .kernelAddress(let address, let refusal):
      "the kernel cannot be loaded at \(address): \(refusal)"
    case .memoryTooSmall(let name, let range):
      "\(name) needs usable memory from \(hex(range.lowerBound)) to \(hex(range.upperBound)): give the machine more memory"
    case .commandLineTooLong(let count, let limit):
      "the kernel command line has \(count) bytes and this kernel takes \(limit): shorten it"
    case .commandLineContainsNUL:
      "the kernel command line contains a NUL byte, where the kernel would stop reading: remove it"
    case .initialRAMDiskTooLarge(let count, let room):
      "the initial RAM disk has \(count) bytes and the kernel finds room for \(room): give the machine more memory or use a smaller one"
    case .setupDataTooLarge(let count, let limit):
      "the setup data needs \(count) bytes and has room for \(limit)"
    case .memoryMapTooLong(let entries, let limit):
      "the memory map has \(entries) entries and the boot protocol takes \(limit)"
    case .memory(let error): error.description
    }
  }
}

extension AddressRefusal: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notRelocatable(let only):
      "it is not relocatable and runs only at \(only)"
    case .misaligned(let alignment):
      "it must lie at a multiple of \(hex(alignment))"
    case .belowMinimum(let minimum):
      "it must not lie below \(minimum)"
    case .aboveMaximum(let lastByte, let maximum):
      "it would end at \(hex(lastByte)) and must not reach beyond \(hex(maximum))"
    case .above4GiB:
      "it cannot lie or be entered above 4 GiB"
    case .notUsableMemory(let range):
      "the memory it needs there, \(hex(range.lowerBound)) to \(hex(range.upperBound)), is not all usable RAM; give the machine more memory or choose a lower address"
    }
  }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

private func twoDigits(_ value: UInt16) -> String { value < 10 ? "0\(value)" : "\(value)" }
