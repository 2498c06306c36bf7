import CHost
import MachineTypes
import X86
import X86Decoder

/// Descriptor tables, MSRs, CPUID, time, entropy and hypercalls.
extension CPU {
  func executeSystem(_ op: Micro, _ instruction: Instruction, next: UInt64) -> Status {
    switch instruction.operation {
    case .cpuid: return identify()
    case .rdtsc, .rdtscp:
      guard state.cr4 & CR4.timeStampDisable.rawValue == 0 || state.privilegeLevel == 0 else {
        return raise(.generalProtection, 0)
      }
      setPair(env.timeStamp(self))
      if instruction.operation == .rdtscp {
        setRegister(.rcx, width: 4, state.tscAuxiliary & 0xFFFF_FFFF)
      }
      return .next
    case .rdpid:
      let general = GeneralRegister(rawValue: instruction.rm)!
      setRegister(general, width: 8, state.tscAuxiliary & 0xFFFF_FFFF)
      return .next
    case .rdrand, .rdseed:
      let general = GeneralRegister(rawValue: instruction.rm)!
      setRegister(general, width: instruction.operandSize, env.entropy.next())
      arithmeticFlags = Flags.carry.rawValue
      return .next
    case .rdpmc:
      guard
        state.privilegeLevel == 0
          || state.cr4 & CR4.performanceCounterEnable.rawValue != 0
      else { return raise(.generalProtection, 0) }
      return raise(.generalProtection, 0)
    case .rdmsr: return readModelRegister()
    case .wrmsr: return writeModelRegister(next: next)
    case .xgetbv:
      guard state.cr4 & CR4.osXSAVE.rawValue != 0 else { return raise(.invalidOpcode) }
      let index = register(.rcx, width: 4)
      guard index == 0 || index == 1 else { return raise(.generalProtection, 0) }
      setPair(index == 0 ? state.xcr0 : state.xcr0 & extendedComponentsInUse)
      return .next
    case .xsetbv:
      guard state.cr4 & CR4.osXSAVE.rawValue != 0 else { return raise(.invalidOpcode) }
      let value = register(.rax, width: 4) | register(.rdx, width: 4) << 32
      guard register(.rcx, width: 4) == 0, value & 1 != 0, value & ~env.features.definedXCR0 == 0,
        value & 6 != 4
      else { return raise(.generalProtection, 0) }
      state.xcr0 = value
      return go(next)
    case .vmcall, .vmmcall: return hypercall(next: next)
    default: return executeTables(op, instruction, next: next)
    }
  }

  /// EDX:EAX.
  func setPair(_ value: UInt64) {
    setRegister(.rax, width: 4, value & 0xFFFF_FFFF)
    setRegister(.rdx, width: 4, value >> 32)
  }

  /// A hypercall is answered by the machine; the answer is RAX.
  private func hypercall(next: UInt64) -> Status {
    guard let value = nextReplayValue() else { return leave(.hypercall) }
    if state.mode.is64Bit { self[.rax] = value } else { setRegister(.rax, width: 4, value) }
    return go(next)
  }

  private func identify() -> Status {
    let answer = env.identify(
      leaf: UInt32(truncatingIfNeeded: self[.rax]), subleaf: UInt32(truncatingIfNeeded: self[.rcx]),
      self)
    setRegister(.rax, width: 4, UInt64(answer.eax))
    setRegister(.rbx, width: 4, UInt64(answer.ebx))
    setRegister(.rcx, width: 4, UInt64(answer.ecx))
    setRegister(.rdx, width: 4, UInt64(answer.edx))
    return .next
  }

  private func executeTables(_ op: Micro, _ instruction: Instruction, next: UInt64) -> Status {
    switch instruction.operation {
    case .lgdt, .lidt:
      let address = effectiveAddress(op)
      let width: UInt8 = state.mode.is64Bit ? 8 : 4
      guard let limit: UInt16 = read(op.segment, address),
        var base = readSized(op.segment, (address &+ 2) & op.addressMask, width)
      else { return .stop }
      if width == 4, instruction.operandSize == 2 { base &= 0xFF_FFFF }
      guard !state.mode.is64Bit || isCanonical(base) else { return raise(.generalProtection, 0) }
      if instruction.operation == .lgdt {
        state.globalTableBase = base
        state.globalTableLimit = UInt32(limit)
      } else {
        state.interruptTableBase = base
        state.interruptTableLimit = UInt32(limit)
      }
      return .next
    case .sgdt, .sidt:
      guard permitsTableStore() else { return .stop }
      let isGlobal = instruction.operation == .sgdt
      let address = effectiveAddress(op)
      let base = isGlobal ? state.globalTableBase : state.interruptTableBase
      let limit = isGlobal ? state.globalTableLimit : state.interruptTableLimit
      guard write(op.segment, address, UInt16(truncatingIfNeeded: limit)),
        writeSized(
          op.segment, (address &+ 2) & op.addressMask, state.mode.is64Bit ? 8 : 4, base)
      else { return .stop }
      return .next
    case .sldt, .str, .smsw:
      guard permitsTableStore() else { return .stop }
      let value: UInt64 =
        switch instruction.operation {
        case .sldt: UInt64(state.localTable.selector)
        case .str: UInt64(state.taskRegister.selector)
        default: state.cr0
        }
      if instruction.hasMemoryOperand {
        return writeMemory(op, UInt16(truncatingIfNeeded: value)) ? .next : .stop
      }
      let general = GeneralRegister(rawValue: instruction.rm)!
      setRegister(general, width: instruction.operandSize, value)
      return .next
    case .lldt, .ltr: return loadSystemSegment(op, instruction, next: next)
    case .lmsw:
      guard let value = readSelector(op, instruction) else { return .stop }
      // PE can be set but not cleared.
      let bits = UInt64(value) & 15 | state.cr0 & 1
      guard writeCR0(state.cr0 & ~15 | bits) else { return .stop }
      return go(next)
    case .clts:
      state.cr0 &= ~CR0.taskSwitched.rawValue
      return .next
    case .invlpg:
      invalidatePage((state.linearBase[Int(op.segment)] &+ effectiveAddress(op)) & state.linearMask)
      return go(next)
    case .invpcid:
      let address = effectiveAddress(op)
      let type =
        register(at: instruction.reg &* 8, UInt64.self) & CPU.mask(state.mode.is64Bit ? 8 : 4)
      guard let pcid: UInt64 = read(op.segment, address),
        let linear: UInt64 = read(op.segment, (address &+ 8) & op.addressMask)
      else { return .stop }
      guard invalidateContext(type: type, pcid: pcid, linear: linear) else { return .stop }
      return go(next)
    default: return executeSelectors(op, instruction, next: next)
    }
  }

  /// UMIP: SGDT, SIDT, SLDT, STR and SMSW are #GP(0) outside CPL 0.
  private func permitsTableStore() -> Bool {
    guard state.cr4 & CR4.userModeInstructionPrevention.rawValue != 0, state.privilegeLevel != 0
    else { return true }
    raise(.generalProtection, 0)
    return false
  }

  func readSelector(_ op: Micro, _ instruction: Instruction) -> UInt16? {
    if instruction.hasMemoryOperand { return readMemory(op) }
    return register(at: instruction.rm &* 8)
  }

  private func loadSystemSegment(
    _ op: Micro, _ instruction: Instruction, next: UInt64
  ) -> Status {
    guard let selector = readSelector(op, instruction) else { return .stop }
    if instruction.operation == .lldt {
      return loadLocalTable(selector, orRaise: .generalProtection) ? .next : .stop
    }
    let error = UInt32(selector & 0xFFFC)
    guard selector & 0xFFFC != 0 else { return raise(.generalProtection, 0) }
    guard selector & 4 == 0 else { return raise(.generalProtection, error) }
    guard let task = systemDescriptor(selector) else { return .stop }
    let isRight =
      task.type == SystemType.tss || (task.type == SystemType.tss16 && !state.mode.isLong)
    guard !task.isCodeOrData, isRight else { return raise(.generalProtection, error) }
    guard task.isPresent else { return raise(.segmentNotPresent, error) }
    guard setDescriptorBits(selector, CPU.busyBit) else { return .stop }
    var segment = task.segment(selector)
    segment.attributes |= 2
    state.taskRegister = segment
    return .next
  }

  func loadLocalTable(_ selector: UInt16, orRaise vector: ExceptionVector) -> Bool {
    guard selector & 0xFFFC != 0 else {
      state.localTable = .null
      state.localTable.selector = selector
      return true
    }
    let error = UInt32(selector & 0xFFFC)
    guard selector & 4 == 0, let table = systemDescriptor(selector, orRaise: vector) else {
      if state.stop != .fault { raise(vector, error) }
      return false
    }
    guard !table.isCodeOrData, table.type == SystemType.ldt else {
      raise(vector, error)
      return false
    }
    guard table.isPresent else {
      raise(vector == .invalidTSS ? .invalidTSS : .segmentNotPresent, error)
      return false
    }
    state.localTable = table.segment(selector)
    return true
  }

  // MARK: Selector inspection

  private func executeSelectors(
    _ op: Micro, _ instruction: Instruction, next: UInt64
  ) -> Status {
    switch instruction.operation {
    case .lar, .lsl, .verr, .verw: return inspectSelector(op, instruction)
    case .arpl: return adjustPrivilege(op, instruction)
    case .swapgs:
      guard state.privilegeLevel == 0 else { return raise(.generalProtection, 0) }
      let base = state.segments[5].base
      state.segments[5].base = state.kernelGSBase
      state.kernelGSBase = base
      segmentChanged(.gs)
      return .next
    case .rdfsbase, .rdgsbase, .wrfsbase, .wrgsbase: return threadBase(instruction)
    default: return executeExtendedState(op, instruction, next: next)
    }
  }

  private func threadBase(_ instruction: Instruction) -> Status {
    guard state.mode.is64Bit, state.cr4 & CR4.fsgsBase.rawValue != 0 else {
      return raise(.invalidOpcode)
    }
    let general = GeneralRegister(rawValue: instruction.rm)!
    let operation = instruction.operation
    let isFS = operation == .rdfsbase || operation == .wrfsbase
    let index = isFS ? 4 : 5
    if operation == .rdfsbase || operation == .rdgsbase {
      setRegister(general, width: instruction.operandSize, state.segments[index].base)
      return .next
    }
    let value = register(general, width: instruction.operandSize)
    guard isCanonical(value) else { return raise(.generalProtection, 0) }
    state.segments[index].base = value
    segmentChanged(isFS ? .fs : .gs)
    return .next
  }

  /// The descriptor behind a selector, without faulting for a bad selector. `.some(nil)`: none.
  private func quietDescriptor(_ selector: UInt16) -> Descriptor?? {
    guard selector & 0xFFFC != 0, let address = descriptorAddress(selector) else {
      return .some(nil)
    }
    guard let low = readSystem(address, 8) else { return nil }
    return .some(Descriptor(low: low))
  }

  private func inspectSelector(_ op: Micro, _ instruction: Instruction) -> Status {
    guard !state.mode.isParagraphMode else { return raise(.invalidOpcode) }
    guard let selector = readSelector(op, instruction) else { return .stop }
    guard let found = quietDescriptor(selector) else { return .stop }
    let operation = instruction.operation
    guard let descriptor = found, isVisible(descriptor, selector, operation) else {
      setZero(false)
      return .next
    }
    let general = GeneralRegister(rawValue: instruction.reg)!
    switch operation {
    case .lar:
      let rights = UInt64((descriptor.low >> 32) & 0x00FF_FF00)
      setRegister(general, width: instruction.operandSize, rights)
    case .lsl:
      setRegister(general, width: instruction.operandSize, UInt64(descriptor.limit))
    default: break
    }
    setZero(true)
    return .next
  }

  private func isVisible(
    _ descriptor: Descriptor, _ selector: UInt16, _ operation: Operation
  ) -> Bool {
    let level = max(state.privilegeLevel, UInt8(selector & 3))
    if descriptor.isCodeOrData {
      let isConformingCode = descriptor.isCode && descriptor.isConforming
      guard isConformingCode || descriptor.privilegeLevel >= level else { return false }
      switch operation {
      case .verr: return !descriptor.isCode || descriptor.isReadableCode
      case .verw: return descriptor.isWritableData
      default: return true
      }
    }
    guard operation == .lar || operation == .lsl, descriptor.privilegeLevel >= level else {
      return false
    }
    let type = descriptor.type
    if state.mode.isLong {
      let isSegment = type == SystemType.ldt || type == SystemType.tss || type == SystemType.tssBusy
      return isSegment || (operation == .lar && type == SystemType.callGate)
    }
    switch type {
    case SystemType.tss16, SystemType.ldt, SystemType.tss16Busy, SystemType.tss,
      SystemType.tssBusy:
      return true
    case SystemType.callGate16, SystemType.taskGate, SystemType.callGate: return operation == .lar
    default: return false
    }
  }

  private func setZero(_ zero: Bool) {
    arithmeticFlags = (arithmeticFlags & ~Flags.zero.rawValue) | (zero ? Flags.zero.rawValue : 0)
  }

  private func adjustPrivilege(_ op: Micro, _ instruction: Instruction) -> Status {
    guard !state.mode.isParagraphMode else { return raise(.invalidOpcode) }
    let source = register(at: instruction.reg &* 8, UInt16.self) & 3
    guard let target = readSelector(op, instruction) else { return .stop }
    guard target & 3 < source else {
      setZero(false)
      return .next
    }
    let new = target & ~3 | source
    if instruction.hasMemoryOperand {
      guard writeMemory(op, new) else { return .stop }
    } else {
      setRegister(at: instruction.rm &* 8, new)
    }
    setZero(true)
    return .next
  }
}
