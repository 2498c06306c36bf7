import MachineTypes
import X86

/// To and from the format that all engines share.
extension CPU {
  func save() -> VirtualCPUState {
    VirtualCPUState(
      generalRegisters: (UInt8(0)..<16).map { register(at: $0 * 8) }, instructionPointer: rip,
      flags: Flags(rawValue: flags), segments: (0..<6).map { Self.saved(state.segments[$0]) },
      taskRegister: Self.saved(state.taskRegister),
      localDescriptorTable: Self.saved(state.localTable),
      globalDescriptorTable: DescriptorTableState(
        base: state.globalTableBase, limit: UInt16(truncatingIfNeeded: state.globalTableLimit)),
      interruptDescriptorTable: DescriptorTableState(
        base: state.interruptTableBase,
        limit: UInt16(truncatingIfNeeded: state.interruptTableLimit)),
      cr0: CR0(rawValue: state.cr0), cr2: state.cr2, cr3: state.cr3,
      cr4: CR4(rawValue: state.cr4), cr8: UInt64(env.apic.taskPriority >> 4), xcr0: state.xcr0,
      efer: ExtendedFeatureEnable(rawValue: state.efer),
      debugRegisters: (0..<4).map { state.debugAddresses[$0] } + [state.dr6, state.dr7],
      extendedState: saveExtendedState(), modelSpecificRegisters: saveModelRegisters(),
      localAPIC: env.apic.save(), activity: savedActivity,
      pending: PendingEvents(
        nonMaskableInterruptPending: env.apic.isNonMaskableInterruptPending,
        nonMaskableInterruptMasked: state.nonMaskableMasked,
        interruptShadow: state.interruptShadow))
  }

  /// Returns what is wrong with a state, or `nil` when it was taken.
  func restore(_ saved: VirtualCPUState) -> String? {
    if let problem = restoreRegisters(saved) { return problem }
    if !saved.extendedState.isEmpty, let problem = restoreExtendedState(saved.extendedState) {
      return problem
    }
    // The APIC's mode decides how its page reads.
    for register in saved.modelSpecificRegisters where register.index == .apicBase {
      guard env.apic.restoreBase(register.value) else { return "MSR \(register.index)" }
    }
    if !saved.localAPIC.isEmpty {
      guard env.apic.restore(saved.localAPIC) else { return "the local APIC's page" }
    }
    for register in saved.modelSpecificRegisters {
      guard restoreModelRegister(register) else { return "MSR \(register.index)" }
    }
    switch saved.activity {
    case .runnable: state.activity = .running
    case .halted: state.activity = .halted
    case .waitingForStartup, .initReceived: state.activity = .waitingForStartup
    case .shutdown: state.activity = .shutdown
    }
    state.nonMaskableMasked = saved.pending.nonMaskableInterruptMasked
    state.interruptShadow = saved.pending.interruptShadow
    if saved.pending.nonMaskableInterruptPending { env.apic.postNonMaskableInterrupt() }
    if let vector = saved.pending.exception {
      _ = deliver(vector, errorCode: saved.pending.exceptionErrorCode, source: .exception)
    } else if let vector = saved.pending.interrupt {
      _ = deliver(vector, errorCode: nil, source: .external)
    }
    raiseAttention(Attention.interrupt | Attention.singleStep)
    return nil
  }

  /// Everything but extended state, MSRs and APIC.
  func restoreRegisters(_ saved: VirtualCPUState) -> String? {
    guard saved.generalRegisters.count == 16 else { return "not 16 general registers" }
    guard saved.segments.count == 6 else { return "not 6 segment registers" }
    guard saved.debugRegisters.count == 6 else { return "not 6 debug registers" }
    guard saved.cr4.rawValue & ~env.features.definedCR4 == 0 else { return "bits of CR4" }
    for number in 0..<16 { setRegister(at: UInt8(number) * 8, saved.generalRegisters[number]) }
    rip = saved.instructionPointer
    for index in 0..<6 { state.segments[index] = Self.segment(saved.segments[index]) }
    state.taskRegister = Self.segment(saved.taskRegister)
    state.localTable = Self.segment(saved.localDescriptorTable)
    state.globalTableBase = saved.globalDescriptorTable.base
    state.globalTableLimit = UInt32(saved.globalDescriptorTable.limit)
    state.interruptTableBase = saved.interruptDescriptorTable.base
    state.interruptTableLimit = UInt32(saved.interruptDescriptorTable.limit)
    state.cr0 = saved.cr0.rawValue
    state.cr2 = saved.cr2
    state.cr3 = saved.cr3
    state.cr4 = saved.cr4.rawValue
    state.efer = saved.efer.rawValue
    state.xcr0 = saved.xcr0
    for index in 0..<4 { state.debugAddresses[index] = saved.debugRegisters[index] }
    state.dr6 = saved.debugRegisters[4]
    state.dr7 = saved.debugRegisters[5]
    if state.mode.isProtected || saved.cr0.contains(.paging),
      saved.cr4.contains(.physicalAddressExtension), !saved.efer.contains(.longModeActive)
    {
      _ = loadPageDirectoryPointers(saved.cr3)
    }
    // SS.DPL is the CPL, save in real mode, where it is 0.
    let isProtected = saved.cr0.contains(.protectionEnable)
    let level = UInt8(truncatingIfNeeded: saved.segments[2].attributes >> 5) & 3
    state.privilegeLevel =
      isProtected ? (saved.flags.contains(.virtual8086) ? 3 : level) : 0
    flags = saved.flags.rawValue
    env.tlb.flushAll(context: processContext)
    recomputeMode()
    return nil
  }

  private var savedActivity: ActivityState {
    switch state.activity {
    case .running: .runnable
    case .halted: .halted
    case .waitingForStartup: .waitingForStartup
    case .shutdown: .shutdown
    }
  }

  private static func saved(_ segment: Segment) -> SegmentState {
    SegmentState(
      selector: segment.selector, base: segment.base, limit: segment.limit,
      attributes: segment.attributes)
  }

  private static func segment(_ saved: SegmentState) -> Segment {
    Segment(
      selector: saved.selector, base: saved.base, limit: saved.limit, attributes: saved.attributes)
  }

  /// MSRs with fields of their own in `CPUState`, then the model's.
  private func saveModelRegisters() -> [MSRValue] {
    let own: [(MSRIndex, UInt64)] = [
      (.tscAdjust, state.tscAdjust), (.sysenterCS, state.sysenterCS),
      (.sysenterESP, state.sysenterESP), (.sysenterEIP, state.sysenterEIP), (.star, state.star),
      (.lstar, state.lstar), (.cstar, state.cstar), (.syscallMask, state.syscallMask),
      (.kernelGSBase, state.kernelGSBase), (.tscAuxiliary, state.tscAuxiliary),
      (.timeStampCounter, env.timeStamp(self)), (.apicBase, env.apic.readMSR(0x1B) ?? 0),
      (.tscDeadline, env.apic.deadline),
    ]
    let all = own.map { MSRValue(index: $0.0, value: $0.1) } + env.modelRegisters.all
    return all.sorted { $0.index < $1.index }
  }

  private func restoreModelRegister(_ register: MSRValue) -> Bool {
    let value = register.value
    switch register.index {
    case .tscAdjust: state.tscAdjust = value
    case .sysenterCS: state.sysenterCS = value
    case .sysenterESP: state.sysenterESP = value
    case .sysenterEIP: state.sysenterEIP = value
    case .star: state.star = value
    case .lstar: state.lstar = value
    case .cstar: state.cstar = value
    case .syscallMask: state.syscallMask = value
    case .kernelGSBase: state.kernelGSBase = value
    case .tscAuxiliary: state.tscAuxiliary = value
    case .timeStampCounter: setTimeStampOffset(value &- env.clock.now.nanoseconds)
    case .apicBase: return env.apic.restoreBase(value)
    case .tscDeadline: env.apic.setDeadline(value)
    default: return env.modelRegisters.restore(register.index.rawValue, value)
    }
    return true
  }
}
