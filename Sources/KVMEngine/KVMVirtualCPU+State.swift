internal import CHost
internal import EngineInterface
internal import MachineTypes
internal import X86

/// To and from the format that all engines share.
extension KVMVirtualCPU {
  func saveState() throws(EngineFailure) -> VirtualCPUState {
    try finishInstruction()
    let general = try file.read(.getRegisters, into: kvm_regs())
    let system = try file.read(.getSystemRegisters, into: kvm_sregs())
    let control = try file.read(.getExtendedControl, into: kvm_xcrs())
    let debug = try file.read(.getDebugRegisters, into: kvm_debugregs())
    let events = try file.read(.getEvents, into: kvm_vcpu_events())
    let activity = try file.read(.getActivity, into: kvm_mp_state())
    return VirtualCPUState(
      generalRegisters: general.inOrder, instructionPointer: general.rip,
      flags: Flags(rawValue: general.rflags),
      segments: [system.es, system.cs, system.ss, system.ds, system.fs, system.gs]
        .map(SegmentState.init),
      taskRegister: SegmentState(system.tr), localDescriptorTable: SegmentState(system.ldt),
      globalDescriptorTable: DescriptorTableState(base: system.gdt.base, limit: system.gdt.limit),
      interruptDescriptorTable: DescriptorTableState(
        base: system.idt.base, limit: system.idt.limit),
      cr0: CR0(rawValue: system.cr0), cr2: system.cr2, cr3: system.cr3,
      cr4: CR4(rawValue: system.cr4), cr8: system.cr8,
      xcr0: control.nr_xcrs > 0 ? control.xcrs.0.value : 1,
      efer: ExtendedFeatureEnable(rawValue: system.efer),
      debugRegisters: [debug.db.0, debug.db.1, debug.db.2, debug.db.3, debug.dr6, debug.dr7],
      extendedState: ExtendedStateArea.bytes(
        of: try file.read(.getExtendedState, into: kvm_xsave())),
      modelSpecificRegisters: try KVMModelRegisters.read(
        environment.savedMSRs, from: file, apicBase: system.apic_base),
      localAPIC: LocalAPICPage.bytes(of: try file.read(.getLocalAPIC, into: kvm_lapic_state())),
      activity: ActivityState(kernel: activity.mp_state), pending: PendingEvents(events))
  }

  /// Lets the kernel finish the instruction that left for user space.
  private func finishInstruction() throws(EngineFailure) {
    guard kernelHasUnfinishedInstruction, unfinished.isComplete(page) else { return }
    unfinished = .nothing
    page.setImmediateExit(true)
    if try enter() { deferredExit = try decodeExit() }
  }

  func restoreState(_ state: VirtualCPUState) throws(EngineFailure) {
    guard state.generalRegisters.count == 16, state.segments.count == 6,
      state.debugRegisters.count == 6
    else { throw .invalidState("a register file of the wrong size") }
    try finishInstruction()
    deferredExit = nil
    unfinished = .nothing

    var system = try file.read(.getSystemRegisters, into: kvm_sregs())
    system.take(state)
    try file.call(.setSystemRegisters, &system)
    var general = kvm_regs(state)
    try file.call(.setRegisters, &general)
    try restoreExtendedState(state)
    try KVMModelRegisters.write(
      state.modelSpecificRegisters.filter { $0.index != .tscDeadline }, to: file)
    var debug = kvm_debugregs()
    debug.db = (
      state.debugRegisters[0], state.debugRegisters[1], state.debugRegisters[2],
      state.debugRegisters[3]
    )
    debug.dr6 = state.debugRegisters[4]
    debug.dr7 = state.debugRegisters[5]
    try file.call(.setDebugRegisters, &debug)
    if !state.localAPIC.isEmpty {
      guard var page = LocalAPICPage.page(of: state.localAPIC) else {
        throw .invalidState("the local APIC's page")
      }
      try file.call(.setLocalAPIC, &page)
    }
    try KVMModelRegisters.write(
      state.modelSpecificRegisters.filter { $0.index == .tscDeadline }, to: file)
    var events = kvm_vcpu_events(state.pending)
    try file.call(.setEvents, &events)
    var activity = kvm_mp_state(mp_state: state.activity.kernelValue)
    try file.call(.setActivity, &activity)
  }

  private func restoreExtendedState(_ state: VirtualCPUState) throws(EngineFailure) {
    if !state.extendedState.isEmpty {
      guard var area = ExtendedStateArea.area(of: state.extendedState) else {
        throw .invalidState("the XSAVE area")
      }
      try file.call(.setExtendedState, &area)
    }
    var control = try file.read(.getExtendedControl, into: kvm_xcrs())
    guard control.nr_xcrs > 0 else { return }
    control.xcrs.0.value = state.xcr0
    try file.call(.setExtendedControl, &control)
  }
}

extension KVMVirtualCPU.Unfinished {
  /// Whether the machine owes no further answer.
  fileprivate func isComplete(_ page: borrowing KVMRunPage) -> Bool {
    switch self {
    case .nothing: true
    case .ports(let done):
      Int32(page.header.io.direction) == KVM_EXIT_IO_OUT && done + 1 >= page.header.io.count
    case .memory(let done):
      page.header.mmio.is_write != 0
        && (done == 0 && [1, 2, 4, 8].contains(page.header.mmio.len))
    case .msr: Int32(bitPattern: page.header.exit_reason) == KVM_EXIT_X86_WRMSR
    case .hypercall, .fallback: false
    }
  }
}
