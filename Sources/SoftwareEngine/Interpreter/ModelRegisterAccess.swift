import MachineTypes
import Synchronization
import X86

/// RDMSR and WRMSR.
extension CPU {
  func readModelRegister() -> Status {
    let index = UInt32(truncatingIfNeeded: self[.rcx])
    guard let value = readModelRegister(index) else { return .stop }
    setPair(value)
    return .next
  }

  func writeModelRegister(next: UInt64) -> Status {
    let index = UInt32(truncatingIfNeeded: self[.rcx])
    let value = register(.rax, width: 4) | register(.rdx, width: 4) << 32
    guard writeModelRegister(index, value) else { return .stop }
    return go(next)
  }

  private func isDelegated(_ index: UInt32) -> Bool {
    for range in env.delegatedMSRs where range.contains(index) { return true }
    return false
  }

  /// `nil`: #GP(0) or an exit is recorded.
  private func readModelRegister(_ index: UInt32) -> UInt64? {
    switch MSRIndex(rawValue: index) {
    case .timeStampCounter: return env.timeStamp(self)
    case .tscAdjust: return state.tscAdjust
    case .sysenterCS: return state.sysenterCS
    case .sysenterESP: return state.sysenterESP
    case .sysenterEIP: return state.sysenterEIP
    case .extendedFeatureEnable: return state.efer
    case .star: return state.star
    case .lstar: return state.lstar
    case .cstar: return state.cstar
    case .syscallMask: return state.syscallMask
    case .fsBase: return state.segments[4].base
    case .gsBase: return state.segments[5].base
    case .kernelGSBase: return state.kernelGSBase
    case .tscAuxiliary: return state.tscAuxiliary
    default: break
    }
    if LocalAPIC.ownsMSR(index) {
      if let value = env.apic.readMSR(index) { return value }
      raise(.generalProtection, 0)
      return nil
    }
    if isDelegated(index) {
      if let value = nextReplayValue() { return value }
      leave(.msrRead, address: UInt64(index))
      return nil
    }
    if let value = env.modelRegisters.read(index) { return value }
    raise(.generalProtection, 0)
    return nil
  }

  private func writeModelRegister(_ index: UInt32, _ value: UInt64) -> Bool {
    switch MSRIndex(rawValue: index) {
    case .timeStampCounter:
      let offset = value &- env.clock.now.nanoseconds
      state.tscAdjust = state.tscAdjust &+ (offset &- state.tscOffset)
      setTimeStampOffset(offset)
    case .tscAdjust:
      setTimeStampOffset(state.tscOffset &+ (value &- state.tscAdjust))
      state.tscAdjust = value
    case .sysenterCS: state.sysenterCS = value & 0xFFFF
    case .sysenterESP: return setAddress(&state.sysenterESP, value)
    case .sysenterEIP: return setAddress(&state.sysenterEIP, value)
    case .extendedFeatureEnable: return writeEFER(value)
    case .star: state.star = value
    case .lstar: return setAddress(&state.lstar, value)
    case .cstar: return setAddress(&state.cstar, value)
    case .syscallMask: state.syscallMask = value & 0xFFFF_FFFF
    case .fsBase:
      guard setAddress(&state.segments[4].base, value) else { return false }
      segmentChanged(.fs)
    case .gsBase:
      guard setAddress(&state.segments[5].base, value) else { return false }
      segmentChanged(.gs)
    case .kernelGSBase: return setAddress(&state.kernelGSBase, value)
    case .tscAuxiliary: state.tscAuxiliary = value & 0xFFFF_FFFF
    default: return writeOther(index, value)
    }
    return true
  }

  func setTimeStampOffset(_ offset: UInt64) {
    state.tscOffset = offset
    env.apic.tscOffset.store(offset, ordering: .relaxed)
    env.apic.armTimer()
  }

  private func setAddress(_ register: inout UInt64, _ value: UInt64) -> Bool {
    guard isCanonical(value) else {
      raise(.generalProtection, 0)
      return false
    }
    register = value
    return true
  }

  private func writeOther(_ index: UInt32, _ value: UInt64) -> Bool {
    if LocalAPIC.ownsMSR(index) {
      switch env.apic.writeMSR(index, value) {
      case .completed(let ended):
        env.noteEnded(ended, by: self)
        raiseAttention(Attention.interrupt)
        return true
      case .generalProtection:
        raise(.generalProtection, 0)
        return false
      }
    }
    if isDelegated(index) {
      if skipReplayedWrite() { return true }
      leave(.msrWrite, address: UInt64(index), value: value)
      return false
    }
    if env.modelRegisters.write(index, value) { return true }
    raise(.generalProtection, 0)
    return false
  }
}
