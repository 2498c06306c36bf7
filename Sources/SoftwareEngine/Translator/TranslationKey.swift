import X86

/// What translated code takes for granted of the CPU, beyond the bytes it was made from.
struct TranslationKey: Equatable {
  var rawValue: UInt32

  /// Code of this kind is not translated.
  static let none = TranslationKey(rawValue: 0)

  static let eligible: UInt32 = 1 << 0
  static let code64: UInt32 = 1 << 1
  static let user: UInt32 = 1 << 2
  /// Supervisor accesses with EFLAGS.AC lifting SMAP.
  static let override: UInt32 = 1 << 3
  /// SSE instructions run and no SIMD exception is unmasked.
  static let sse: UInt32 = 1 << 4
  static let avx: UInt32 = 1 << 5
  /// 32-bit code: FS (GS) can be used up to 4 GiB.
  static let plainFS: UInt32 = 1 << 6
  static let plainGS: UInt32 = 1 << 7
  /// Blocks look before they begin whether the instruction budget suffices for all of them.
  static let budgeted: UInt32 = 1 << 8

  func has(_ bit: UInt32) -> Bool { rawValue & bit != 0 }
  var is64Bit: Bool { has(Self.code64) }
}

extension CPU {
  /// The key of the code at the instruction pointer.
  var translationKey: TranslationKey {
    let mode = state.mode
    var key = TranslationKey.eligible
    if mode.is64Bit {
      // Watchpoints and alignment checks close all segments.
      guard state.readEnd[3] == .max else { return .none }
      key |= TranslationKey.code64
    } else {
      guard mode.isProtected, !mode.isVirtual8086, mode.codeWidth == 4, mode.stackWidth == 4 else {
        return .none
      }
      let all: UInt64 = 1 << 32
      for index in [0, 2, 3] {
        guard state.linearBase[index] == 0, state.readEnd[index] == all,
          state.writeEnd[index] == all
        else { return .none }
      }
      guard state.linearBase[1] == 0, state.segments[1].limit == 0xFFFF_FFFF else { return .none }
      if state.readEnd[4] == all, state.writeEnd[4] == all { key |= TranslationKey.plainFS }
      if state.readEnd[5] == all, state.writeEnd[5] == all { key |= TranslationKey.plainGS }
    }
    if state.isBudgetLimited { key |= TranslationKey.budgeted }
    if state.privilegeLevel == 3 {
      key |= TranslationKey.user
    } else if unsafe state.dataTLB == state.supervisorOverrideTLB {
      key |= TranslationKey.override
    }
    let blocking = CR0.taskSwitched.rawValue | CR0.emulation.rawValue
    if state.cr0 & blocking == 0, state.cr4 & CR4.osFXSR.rawValue != 0,
      env.host.registers.mxcsr & 0x1F80 == 0x1F80
    {
      key |= TranslationKey.sse
      if state.cr4 & CR4.osXSAVE.rawValue != 0, state.xcr0 & 6 == 6 { key |= TranslationKey.avx }
    }
    return TranslationKey(rawValue: key)
  }
}
