import X86

/// The model-specific registers that mean nothing to the engine: they hold what is written, within what
/// the processor would accept.
struct ModelRegisters {
  private enum Writing {
    /// #GP.
    case refused
    /// Accepted and forgotten.
    case ignored
    /// Stored; a bit outside the mask is #GP.
    case stored(mask: UInt64)
    /// Accepted and forgotten within the mask; reading is #GP.
    case command(mask: UInt64)
    /// Eight memory types, one to a byte.
    case memoryTypes(allowsUncachedMinus: Bool)
    /// A variable MTRR's base: a memory type under an address.
    case rangeBase(mask: UInt64)
    case defaultType
  }

  private struct Register {
    let writing: Writing
    var value: UInt64 = 0
  }

  private var registers: [UInt32: Register] = [:]

  init(_ table: CPUIDTable) {
    let addressBits = UInt64((table.entry(leaf: 0x8000_0008)?.eax ?? 36) & 0xFF)
    let addresses: UInt64 = (1 << addressBits) - 1
    let isAMD = table.entry(leaf: 0)?.ebx == 0x6874_7541
    addMemoryTypes(addresses)
    addCommon(isAMD: isAMD)
    if isAMD { addAMD(addresses) } else { addIntel() }
    // Without XSAVES there is no IA32_XSS; the engine saves no supervisor state.
    if let state = table.entry(leaf: 0xD, subleaf: 1), state.eax & 8 != 0 {
      registers[0xDA0] = Register(writing: .stored(mask: 0))
    }
  }

  /// `nil`: #GP.
  func read(_ index: UInt32) -> UInt64? {
    guard let register = registers[index] else { return nil }
    if case .command = register.writing { return nil }
    return register.value
  }

  /// `false`: #GP.
  mutating func write(_ index: UInt32, _ value: UInt64) -> Bool {
    guard let register = registers[index] else { return false }
    switch register.writing {
    case .refused: return false
    case .ignored: return true
    case .command(let mask): return value & ~mask == 0
    case .stored(let mask): guard value & ~mask == 0 else { return false }
    case .memoryTypes(let allowsUncachedMinus):
      for byte in 0..<UInt64(8) {
        let type = value >> (byte * 8) & 0xFF
        guard Self.isMemoryType(type) || allowsUncachedMinus && type == 7 else { return false }
      }
    case .rangeBase(let mask):
      guard value & ~mask == 0, Self.isMemoryType(value & 0xFF) else { return false }
    case .defaultType:
      guard value & ~0xCFF == 0, Self.isMemoryType(value & 0xFF) else { return false }
    }
    registers[index]?.value = value
    return true
  }

  /// Takes a saved value; `false` where this model cannot hold it.
  mutating func restore(_ index: UInt32, _ value: UInt64) -> Bool {
    guard let register = registers[index] else { return false }
    switch register.writing {
    case .refused, .ignored: return value == register.value
    default: return write(index, value)
    }
  }

  /// Every register that a guest can change, in order.
  var all: [MSRValue] {
    registers.compactMap { index, register -> MSRValue? in
      switch register.writing {
      case .refused, .ignored, .command: nil
      default: MSRValue(index: MSRIndex(rawValue: index), value: register.value)
      }
    }
    .sorted { $0.index < $1.index }
  }

  private static func isMemoryType(_ type: UInt64) -> Bool {
    type == 0 || type == 1 || type >= 4 && type <= 6
  }

  private mutating func add(_ indices: ClosedRange<UInt32>, _ writing: Writing, _ value: UInt64 = 0)
  {
    for index in indices { registers[index] = Register(writing: writing, value: value) }
  }

  private mutating func add(_ index: UInt32, _ writing: Writing, _ value: UInt64 = 0) {
    add(index...index, writing, value)
  }

  /// PAT and the MTRRs, as firmware leaves them: everything write-back but the legacy video window.
  private mutating func addMemoryTypes(_ addresses: UInt64) {
    let writeBack: UInt64 = 0x0606_0606_0606_0606
    add(0x277, .memoryTypes(allowsUncachedMinus: true), 0x0007_0406_0007_0406)
    // Eight variable ranges, the fixed ranges, write combining.
    add(0xFE, .refused, 0x508)
    add(0x250, .memoryTypes(allowsUncachedMinus: false), writeBack)
    add(0x258, .memoryTypes(allowsUncachedMinus: false), writeBack)
    add(0x259, .memoryTypes(allowsUncachedMinus: false), 0)
    add(0x268...0x26F, .memoryTypes(allowsUncachedMinus: false), writeBack)
    for range in UInt32(0)..<8 {
      add(0x200 + range * 2, .rangeBase(mask: addresses & ~0xF00))
      add(0x201 + range * 2, .stored(mask: addresses & ~0x7FF))
    }
    add(0x2FF, .defaultType, 0xC06)
  }

  private mutating func addCommon(isAMD: Bool) {
    // Machine check: no banks.
    add(0x179, .refused)
    add(0x17A, .stored(mask: 7))
    add(0x17B, .stored(mask: .max))
    // Platform id, EBL_CR_POWERON, feature control (locked), microcode revision, MISC_ENABLE.
    add(0x17, .refused)
    add(0x2A, .stored(mask: .max))
    add(0x3A, .refused, 1)
    add(0x8B, .ignored, isAMD ? 0x0100_0065 : 0x1_0000_0000)
    add(0x1A0, .stored(mask: .max), 1)
    // DEBUGCTL; the last branches and exceptions, which are not recorded.
    add(0x1D9, .stored(mask: 0x3F))
    add(0x1DB...0x1DE, .refused)
    // SPEC_CTRL: IBRS, STIBP, SSBD. PRED_CMD: IBPB.
    add(0x48, .stored(mask: 7))
    add(0x49, .command(mask: 1))
  }

  // There are no performance counters: their MSRs are #GP, from which Linux knows it.

  private mutating func addIntel() {
    add(0xCE, .refused)
    // Clock modulation, thermal interrupt, status and control.
    add(0x19A...0x19D, .stored(mask: .max))
  }

  private mutating func addAMD(_ addresses: UInt64) {
    // SYSCFG; HWCR with TscFreqSel; IORRs; TOP_MEM; TOM2.
    add(0xC001_0010, .stored(mask: .max))
    add(0xC001_0015, .stored(mask: .max), 1 << 24)
    add(0xC001_0016...0xC001_0019, .stored(mask: addresses))
    add(0xC001_001A, .stored(mask: addresses))
    add(0xC001_001D, .stored(mask: addresses))
    // NB_CFG; patch loader; interrupt pending (no C1E); MMIO configuration base.
    add(0xC001_001F, .stored(mask: .max))
    add(0xC001_0020, .ignored)
    add(0xC001_0055, .stored(mask: .max))
    add(0xC001_0058, .stored(mask: .max))
    // VM_CR: SVM disabled and locked. VIRT_SPEC_CTRL: SSBD. OSVW: none of the first four.
    add(0xC001_0114, .ignored, 0x18)
    add(0xC001_011F, .stored(mask: 4))
    add(0xC001_0140, .refused, 4)
    add(0xC001_0141, .refused)
    // CPUID overrides, LS_CFG, IC_CFG, DE_CFG (LFENCE serializes), BU_CFG2.
    add(0xC001_1004...0xC001_1005, .stored(mask: .max))
    add(0xC001_1020...0xC001_1021, .stored(mask: .max))
    add(0xC001_1029, .stored(mask: .max), 2)
    add(0xC001_102A, .stored(mask: .max))
  }
}
