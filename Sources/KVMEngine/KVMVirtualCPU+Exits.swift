internal import CHost
internal import EngineInterface
internal import MachineTypes
internal import X86

/// From `kvm_run` to `VMExit`, and the answers back (`Documentation/virt/kvm/api.rst` 5).
extension KVMVirtualCPU {
  /// What the last `KVM_RUN` came back for; `nil` when there is nothing for the machine to do.
  func decodeExit() throws(EngineFailure) -> VMExit? {
    switch Int32(bitPattern: page.header.exit_reason) {
    case KVM_EXIT_IO:
      kernelHasUnfinishedInstruction = true
      return portAccess(done: 0)
    case KVM_EXIT_MMIO:
      kernelHasUnfinishedInstruction = true
      return memoryAccess(done: 0)
    case KVM_EXIT_HLT: return .halt
    case KVM_EXIT_SHUTDOWN, KVM_EXIT_SYSTEM_EVENT: return .shutdown
    case KVM_EXIT_INTR, KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_SET_TPR: return nil
    case KVM_EXIT_IOAPIC_EOI:
      return .endOfInterrupt(InterruptVector(rawValue: page.header.eoi.vector))
    case KVM_EXIT_DEBUG: return .debug(GuestVirtualAddress(rawValue: page.header.debug.arch.pc))
    case KVM_EXIT_HYPERCALL:
      kernelHasUnfinishedInstruction = true
      unfinished = .hypercall
      return try hypercall()
    case KVM_EXIT_X86_RDMSR:
      kernelHasUnfinishedInstruction = true
      unfinished = .msr
      return .msrRead(MSRIndex(rawValue: page.header.msr.index))
    case KVM_EXIT_X86_WRMSR:
      kernelHasUnfinishedInstruction = true
      unfinished = .msr
      return .msrWrite(MSRIndex(rawValue: page.header.msr.index), page.header.msr.data)
    case KVM_EXIT_INTERNAL_ERROR
    where page.header.internal.suberror == UInt32(KVM_INTERNAL_ERROR_EMULATION):
      guard let fallback else { throw failure("KVM cannot emulate an instruction") }
      return try finish(fallback.executeOne(stateForFallback()))
    case KVM_EXIT_INTERNAL_ERROR:
      throw failure("KVM reports its internal error \(page.header.internal.suberror)")
    case KVM_EXIT_FAIL_ENTRY:
      let reason = page.header.fail_entry.hardware_entry_failure_reason
      throw failure("the processor refuses the guest's state, reason \(String(reason, radix: 16))")
    case let reason:
      throw failure("KVM leaves the guest for reason \(reason), which Martlet does not know")
    }
  }

  private func failure(_ what: String) -> EngineFailure {
    let registers = try? file.read(.getRegisters, into: kvm_regs())
    return .cannotContinue(what, at: GuestVirtualAddress(rawValue: registers?.rip ?? 0))
  }

  /// Takes the machine's answer to the last exit; returns the next exit where the same instruction has
  /// more to ask.
  func complete(_ entry: VMEntry) throws(EngineFailure) -> VMExit? {
    let last = unfinished
    unfinished = .nothing
    switch last {
    case .nothing: return nil
    case .ports(let done):
      let access = page.header.io
      if case .completeRead(let value) = entry {
        page.store(value, at: offset(ofPort: done), byteCount: Int(access.size))
      }
      return done + 1 < access.count ? portAccess(done: done + 1) : nil
    case .memory(let done):
      let width = memoryWidth(done: done)
      if case .completeRead(let value) = entry { storeMemoryData(value, at: done, width) }
      let next = done + UInt32(width.rawValue)
      return next < min(8, page.header.mmio.len) ? memoryAccess(done: next) : nil
    case .msr:
      page.header.msr.error = entry == .injectGeneralProtection ? 1 : 0
      if case .completeRead(let value) = entry { page.header.msr.data = value }
      return nil
    case .hypercall:
      if case .completeRead(let value) = entry { page.header.hypercall.ret = value }
      return nil
    case .fallback:
      guard let fallback else { return nil }
      return try finish(fallback.resume(entry))
    }
  }

  // MARK: Ports

  private func offset(ofPort number: UInt32) -> UInt64 {
    let access = page.header.io
    return access.data_offset &+ UInt64(number) &* UInt64(access.size)
  }

  private func portAccess(done: UInt32) -> VMExit {
    let access = page.header.io
    unfinished = .ports(done: done)
    let port = PortAddress(access.port)
    let width = AccessWidth(rawValue: access.size) ?? .byte
    guard Int32(access.direction) == KVM_EXIT_IO_OUT else { return .portRead(port, width) }
    let value = page.load(at: offset(ofPort: done), byteCount: width.byteCount)
    return .portWrite(port, width, UInt32(truncatingIfNeeded: value))
  }

  // MARK: Memory

  /// The largest power of two of bytes that is left of the access.
  private func memoryWidth(done: UInt32) -> AccessWidth {
    let left = min(8, page.header.mmio.len) &- done
    return AccessWidth.allCases.last { UInt32($0.rawValue) <= left } ?? .byte
  }

  private func memoryAccess(done: UInt32) -> VMExit {
    let access = page.header.mmio
    unfinished = .memory(done: done)
    let address = GuestPhysicalAddress(access.phys_addr &+ UInt64(done))
    let width = memoryWidth(done: done)
    guard access.is_write != 0 else { return .mmioRead(address, width) }
    let data = unsafe unsafeBitCast(access.data, to: UInt64.self)
    return .mmioWrite(address, width, data >> (8 * UInt64(done)) & width.allOnes)
  }

  private func storeMemoryData(_ value: UInt64, at done: UInt32, _ width: AccessWidth) {
    // SAFETY: both are 8 bytes without structure.
    let old = unsafe unsafeBitCast(page.header.mmio.data, to: UInt64.self)
    let shift = 8 * UInt64(done)
    let new = old & ~(width.allOnes << shift) | (value & width.allOnes) << shift
    // SAFETY: as above.
    page.header.mmio.data = unsafe unsafeBitCast(
      new, to: (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8).self)
  }

  // MARK: Hypercalls

  private func hypercall() throws(EngineFailure) -> VMExit {
    let call = page.header.hypercall
    let system = try file.read(.getSystemRegisters, into: kvm_sregs())
    return .hypercall(
      Hypercall(
        number: call.nr, arguments: [call.args.0, call.args.1, call.args.2, call.args.3],
        privilegeLevel: system.ss.dpl, is64Bit: call.longmode != 0))
  }

  // MARK: Fallback

  /// The state without what KVM keeps to itself: local APIC and time.
  private func stateForFallback() throws(EngineFailure) -> VirtualCPUState {
    var state = withoutKernelParts(try saveState())
    // Kernels that do not know KVM_CAP_EXIT_ON_EMULATION_FAILURE queue #UD before they give up.
    if state.pending.exception == ExceptionVector.invalidOpcode.rawValue {
      state.pending.exception = nil
    }
    return state
  }

  /// Local APIC and time stay in the kernel; the other engine's own MSRs mean nothing here.
  private func withoutKernelParts(_ state: VirtualCPUState) -> VirtualCPUState {
    let kernelOwned: [MSRIndex] = [.apicBase, .timeStampCounter, .tscAdjust, .tscDeadline]
    var state = state
    state.localAPIC = []
    state.modelSpecificRegisters.removeAll {
      kernelOwned.contains($0.index) || !environment.savedMSRs.contains($0.index)
    }
    return state
  }

  private func finish(_ result: (VirtualCPUState, VMExit?)) throws(EngineFailure) -> VMExit? {
    let (state, exit) = result
    try restoreState(withoutKernelParts(state))
    if exit != nil { unfinished = .fallback }
    return exit
  }
}
