internal import CHost
internal import EngineInterface
internal import MachineTypes
internal import X86

/// The MSRs that a saved state carries.
enum KVMModelRegisters {
  /// Those that have no field of their own in `VirtualCPUState`; the deadline comes last, since it
  /// counts against the time-stamp counter.
  private static let wanted: [MSRIndex] = {
    let fixedRangeMTRRs: [UInt32] = [0x250, 0x258, 0x259] + Array(0x268...0x26F)
    let others =
      (Array(0x200...0x20F) + fixedRangeMTRRs).map(MSRIndex.init(rawValue:)) + [
        .timeStampCounter, .apicBase, .tscAdjust, .sysenterCS, .sysenterESP, .sysenterEIP,
        .machineCheckStatus, .miscellaneousEnable, .pageAttributeTable, .mtrrDefaultType,
        .tscDeadline, .extendedStateSupervisor, .star, .lstar, .cstar, .syscallMask, .kernelGSBase,
        .tscAuxiliary, MSRIndex(rawValue: 0x48),
      ]
    return others.sorted()
  }()

  /// The wanted ones that this host's KVM saves and restores.
  static func saved(on device: KVMFile) throws(EngineFailure) -> [MSRIndex] {
    let limit = 1024
    var words = [UInt32](repeating: 0, count: 1 + limit)
    words[0] = UInt32(limit)
    try device.call(.getMSRIndexList, &words)
    let known = Set(words[1...].prefix(Int(words[0])))
    // MTRRs are in no list, and always there.
    return wanted.filter { known.contains($0.rawValue) || (0x200...0x2FF).contains($0.rawValue) }
  }

  /// Reads them one after another, for one that a model lacks ends a list.
  ///
  /// - Parameter apicBase: which KVM has among the system registers.
  static func read(
    _ indices: [MSRIndex], from processor: KVMFile, apicBase: UInt64
  ) throws(EngineFailure) -> [MSRValue] {
    var values = [MSRValue(index: .apicBase, value: apicBase)]
    for index in indices where index != .apicBase {
      var words: [UInt32] = [1, 0, index.rawValue, 0, 0, 0]
      guard try processor.call(.getMSRs, &words) == 1 else { continue }
      values.append(MSRValue(index: index, value: UInt64(words[5]) << 32 | UInt64(words[4])))
    }
    return values.sorted { $0.index < $1.index }
  }

  /// Registers that describe the silicon: a KVM that refuses them knows its host better.
  private static let describing: Set<MSRIndex> = [
    MSRIndex(rawValue: 0xC001_1029), .platformID, .microcodeRevision, .mtrrCapabilities,
    .machineCheckCapabilities,
  ]

  /// - Throws: `invalidState` for one that KVM refuses, save a zero in one that it does not have.
  static func write(_ values: [MSRValue], to processor: KVMFile) throws(EngineFailure) {
    for register in values.sorted(by: { $0.index < $1.index }) {
      var words: [UInt32] = [
        1, 0, register.index.rawValue, 0, UInt32(truncatingIfNeeded: register.value),
        UInt32(truncatingIfNeeded: register.value >> 32),
      ]
      guard
        try processor.call(.setMSRs, &words) == 1 || register.value == 0
          || describing.contains(register.index)
      else {
        throw .invalidState("MSR \(register.index) with the value \(register.value)")
      }
    }
  }
}

/// The register page of the local APIC, as bytes.
enum LocalAPICPage {
  static func bytes(of page: kvm_lapic_state) -> [UInt8] {
    // SAFETY: the structure is 1,024 bytes without padding.
    unsafe withUnsafeBytes(of: page) { unsafe [UInt8]($0) }
  }

  static func page(of bytes: [UInt8]) -> kvm_lapic_state? {
    guard bytes.count == MemoryLayout<kvm_lapic_state>.size else { return nil }
    var page = kvm_lapic_state()
    // SAFETY: as long as the bytes, as just checked.
    unsafe withUnsafeMutableBytes(of: &page) { unsafe $0.copyBytes(from: bytes) }
    return page
  }
}
