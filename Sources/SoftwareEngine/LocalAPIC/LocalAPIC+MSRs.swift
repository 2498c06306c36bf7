import MachineTypes
import Synchronization

/// IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC registers 0x800…0x83F (SDM 3A 11.12).
extension LocalAPIC {
  enum WriteOutcome: Equatable {
    /// With the vector whose EOI the I/O APICs are to hear of.
    case completed(UInt8?)
    case generalProtection
  }

  static func ownsMSR(_ index: UInt32) -> Bool {
    index == 0x1B || index == 0x6E0 || (0x800...0x8FF).contains(index)
  }

  /// `nil`: #GP(0).
  func readMSR(_ index: UInt32) -> UInt64? {
    switch index {
    case 0x1B: return state.withLock { $0.base }
    case 0x6E0: return deadline
    default:
      guard state.withLock({ $0.isX2APIC }), Self.isReadable(index) else { return nil }
      if index == 0x830 { return state.withLock { $0.command } }
      return UInt64(read((index - 0x800) << 4))
    }
  }

  func writeMSR(_ index: UInt32, _ value: UInt64) -> WriteOutcome {
    switch index {
    case 0x1B: return setBase(value)
    case 0x6E0:
      setDeadline(value)
      return .completed(nil)
    default:
      guard state.withLock({ $0.isX2APIC }), Self.isWritable(index) else {
        return .generalProtection
      }
      if index == 0x830 {
        guard value & 0xFFF3_2000 == 0 else { return .generalProtection }
        let command = value & ~(1 << 12)
        state.withLock { $0.command = command }
        bus.send(command, from: self, isX2APIC: true)
        return .completed(nil)
      }
      guard value & ~UInt64(Self.writableBits(index)) == 0 else { return .generalProtection }
      let word = UInt32(truncatingIfNeeded: value)
      guard index == 0x83F else { return .completed(write((index - 0x800) << 4, word)) }
      bus.sendToSelf(vector: UInt8(truncatingIfNeeded: word), from: self)
      return .completed(nil)
    }
  }

  /// The bits that are not reserved: setting another is #GP (SDM 3A 11.12.1.3). Delivery status and remote
  /// IRR are read-only, not reserved.
  private static func writableBits(_ index: UInt32) -> UInt32 {
    switch index {
    case 0x80B, 0x828: 0
    case 0x808, 0x83F: 0xFF
    case 0x80F: 0x3FF
    case 0x832: 0x710FF
    case 0x833, 0x834: 0x117FF
    case 0x835, 0x836: 0x1F7FF
    case 0x837: 0x110FF
    case 0x83E: 0xB
    default: .max
    }
  }

  private static func isReadable(_ index: UInt32) -> Bool {
    switch index {
    case 0x802, 0x803, 0x808, 0x80A, 0x80D, 0x80F, 0x810...0x828, 0x830, 0x832...0x839, 0x83E: true
    default: false
    }
  }

  private static func isWritable(_ index: UInt32) -> Bool {
    switch index {
    case 0x808, 0x80B, 0x80F, 0x828, 0x830, 0x832...0x838, 0x83E, 0x83F: true
    default: false
    }
  }

  /// The reserved bits of IA32_APIC_BASE.
  private static var reservedBaseBits: UInt64 { ~(((1 << CPU.physicalAddressBits) - 1) & ~0x2FF) }

  /// Transitions of EN and EXTD (SDM 3A figure 11-27).
  private func setBase(_ value: UInt64) -> WriteOutcome {
    guard value & Self.reservedBaseBits == 0 else { return .generalProtection }
    let outcome: WriteOutcome = state.withLock { state in
      let old = state.base & 0xC00
      let new = value & 0xC00
      if new == 0x400 { return .generalProtection }
      if old == 0xC00, new == 0x800 { return .generalProtection }
      if old == 0, new == 0xC00 { return .generalProtection }
      let base = value & ~0x100 | (state.base & 0x100)
      if new == 0 {
        // Disabled, it forgets everything but what the CPU itself has yet to take.
        let before = state
        state = .powerOn(index.rawValue)
        state.hasNonMaskableInterrupt = before.hasNonMaskableInterrupt
        state.hasInit = before.hasInit
        state.startupPage = before.startupPage
      }
      state.base = base
      if new == 0xC00, old != 0xC00 {
        state.id = index.rawValue
        state.command &= 0xFFFF_FFFF
      }
      return .completed(nil)
    }
    armTimer()
    return outcome
  }

  /// Takes over a saved IA32_APIC_BASE, without the rules for transitions. `false`: it is not one.
  func restoreBase(_ value: UInt64) -> Bool {
    guard value & Self.reservedBaseBits == 0, value & 0xC00 != 0x400 else { return false }
    state.withLock { state in
      state.base = value
      if state.isX2APIC { state.id = index.rawValue }
    }
    return true
  }
}
