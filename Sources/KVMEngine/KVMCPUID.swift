private import CHost
internal import EngineInterface
internal import X86

/// What CPUID answers under KVM: the machine's table, less what this host cannot do.
struct KVMCPUID: Sendable {
  private static let entryWordCount = 10
  private static let significantIndex: UInt32 = 1

  private let table: CPUIDTable

  /// - Parameters:
  ///   - wanted: the machine's processor model.
  ///   - device: `/dev/kvm`, which says what the host can do.
  init(_ wanted: CPUIDTable, on device: KVMFile) throws(EngineFailure) {
    let supported = try Self.supported(by: device)
    var table = CPUIDTable(entries: [])
    for entry in wanted.entries {
      let offered = supported.entry(leaf: entry.leaf, subleaf: entry.subleaf)
      let offer = offered ?? CPUIDEntry(leaf: entry.leaf, subleaf: entry.subleaf)
      let hasDeadlineTimer = device.capability(KVM_CAP_TSC_DEADLINE_TIMER) > 0
      table.set(Self.intersection(of: entry, with: offer, hasDeadlineTimer: hasDeadlineTimer))
    }
    self.table = table
  }

  private static func intersection(
    of entry: CPUIDEntry, with offer: CPUIDEntry, hasDeadlineTimer: Bool
  ) -> CPUIDEntry {
    var result = entry
    switch entry.leaf {
    case 1:
      // x2APIC, the deadline timer and the hypervisor's bit are KVM's own; HTT is about topology.
      let emulated: UInt32 = 1 << 21 | 1 << 31 | (hasDeadlineTimer ? 1 << 24 : 0)
      result.ecx &= offer.ecx | emulated
      result.edx &= offer.edx | 1 << 28
    case 7:
      if entry.subleaf > 0 { result.eax &= offer.eax }
      result.ebx &= offer.ebx
      result.ecx &= offer.ecx
      result.edx &= offer.edx
    case 0xD:
      if entry.subleaf < 2 { result.eax &= offer.eax }
      if entry.subleaf == 0 { result.edx &= offer.edx }
    case 0x4000_0001:
      result.eax &= offer.eax
    case 0x8000_0001:
      // CmpLegacy is about topology.
      result.ecx &= offer.ecx | 1 << 1
      result.edx &= offer.edx
    case 0x8000_0008:
      result.ebx &= offer.ebx
    case 0x8000_0021:
      result.eax &= offer.eax
    default: break
    }
    return result
  }

  /// The head and entries for `KVM_SET_CPUID2`, with the ids of one virtual CPU.
  func words(forAPICID id: UInt32) -> [UInt32] {
    var words: [UInt32] = [UInt32(truncatingIfNeeded: table.entries.count), 0]
    for entry in table.entries {
      var entry = entry
      switch entry.leaf {
      case 1: entry.ebx = entry.ebx & 0x00FF_FFFF | id << 24
      case 0xB, 0x1F: entry.edx = id
      case 0x8000_001E: entry.eax = id
      default: break
      }
      words += [
        entry.leaf, entry.subleaf, entry.isIndexed ? Self.significantIndex : 0,
        entry.eax, entry.ebx, entry.ecx, entry.edx, 0, 0, 0,
      ]
    }
    return words
  }

  private static func supported(by device: KVMFile) throws(EngineFailure) -> CPUIDTable {
    let limit = 256
    var words = [UInt32](repeating: 0, count: 2 + limit * entryWordCount)
    words[0] = UInt32(limit)
    try device.call(.getSupportedCPUID, &words)
    let entries = (0..<min(limit, Int(words[0]))).map { number in
      let start = 2 + number * entryWordCount
      return CPUIDEntry(
        leaf: words[start], subleaf: words[start + 1],
        isIndexed: words[start + 2] & significantIndex != 0,
        eax: words[start + 3], ebx: words[start + 4], ecx: words[start + 5], edx: words[start + 6])
    }
    return CPUIDTable(entries: entries)
  }
}
