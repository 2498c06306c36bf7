import GuestMemory
import MachineTypes
import X86

extension CPUState {
  /// Memory's first content; `CPU.resetRegisters` gives the architecture's.
  static func initial(_ environment: CPUEnvironment) -> CPUState {
    // SAFETY: the TLB and the tracker live as long as the environment.
    return unsafe CPUState(
      registers: .init(repeating: 0), flagResult: 1, flagAuxiliary: 0, otherFlags: 2,
      linearBase: .init(repeating: 0), readEnd: .init(repeating: .max),
      writeEnd: .init(repeating: .max), linearMask: 0xFFFF_FFFF, attention: 0, stop: .none,
      faultVector: 0, faultHasErrorCode: false, faultErrorCode: 0, faultBelongsToNewTask: false,
      dataTLB: environment.tlb.user, userTLB: environment.tlb.user,
      supervisorTLB: environment.tlb.supervisor,
      supervisorOverrideTLB: environment.tlb.override,
      codeChunks: environment.memory.codeTracker.chunks,
      codeVersions: environment.memory.codeTracker.versions,
      codeLinearPage: 1, codePhysicalPage: 0, codeHost: nil, codeRAMPage: 0,
      mode: ExecutionMode(rawValue: 0), privilegeLevel: 0, budget: .max, isBudgetLimited: false,
      retired: 0, segments: .init(repeating: .null), taskRegister: .null, localTable: .null,
      globalTableBase: 0, globalTableLimit: 0, interruptTableBase: 0, interruptTableLimit: 0,
      cr0: 0, cr2: 0, cr3: 0, cr4: 0, xcr0: 1, efer: 0, debugAddresses: .init(repeating: 0),
      dr6: 0, dr7: 0, pageDirectoryPointers: .init(repeating: 0), star: 0, lstar: 0, cstar: 0,
      syscallMask: 0, kernelGSBase: 0, sysenterCS: 0, sysenterESP: 0, sysenterEIP: 0,
      tscAuxiliary: 0, tscOffset: 0, tscAdjust: 0, interruptShadow: false,
      shadowBlocksDebug: false, nonMaskableMasked: false,
      hasHeldInterrupt: false, pendingDebugTrap: 0,
      activity: .running, exit: .none,
      replay: ReplayLog(
        values: .init(repeating: 0), valueCount: 0, cursor: 0, writeCount: 0, writeCursor: 0))
  }
}

extension CPU {
  /// RESET, or INIT, which leaves the extended state, the TSC and most MSRs alone (SDM 3A table 9-1).
  func resetRegisters(isInit: Bool = false) {
    var power = VirtualCPUState.reset(signature: env.cpuid.signature)
    if isInit {
      let caching = CR0.notWriteThrough.union(.cacheDisable).rawValue
      power.cr0 = CR0(
        rawValue: CR0.extensionType.rawValue | state.cr0 & caching)
    }
    _ = restoreRegisters(power)
    state.activity = env.index == .bootstrap ? .running : .waitingForStartup
    state.interruptShadow = false
    state.pendingDebugTrap = 0
    state.nonMaskableMasked = false
    endReplay()
    raiseAttention(Attention.interrupt)
  }
}
