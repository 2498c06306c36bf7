import X86

/// Hardware task switches (SDM 3A chapter 8).
extension CPU {
  enum TaskSwitchSource {
    case jump
    case call
    /// An interrupt or exception through a task gate.
    case gate
    case interruptReturn
  }

  /// IRET with NT set: back to the task in the back link.
  func returnFromTask() -> Status {
    guard let link = readSystem(state.taskRegister.base, 2) else { return .stop }
    return switchTask(UInt16(truncatingIfNeeded: link), .interruptReturn) ? .jump : .stop
  }

  /// Switches to the task whose TSS `selector` names; `rip` must be where the old task goes on.
  /// False: a fault was recorded.
  func switchTask(_ selector: UInt16, _ source: TaskSwitchSource) -> Bool {
    let error = UInt32(selector & 0xFFFC)
    let wrong: ExceptionVector = source == .interruptReturn ? .invalidTSS : .generalProtection
    guard selector & 4 == 0, let target = descriptor(selector, orRaise: wrong) else {
      if state.stop != .fault { raise(wrong, error) }
      return false
    }
    let wantsBusy = source == .interruptReturn
    let expected: [UInt8] =
      wantsBusy
      ? [SystemType.tssBusy, SystemType.tss16Busy] : [SystemType.tss, SystemType.tss16]
    guard !target.isCodeOrData, expected.contains(target.type) else {
      raise(wrong, error)
      return false
    }
    guard target.isPresent else {
      raise(.segmentNotPresent, error)
      return false
    }
    let is32 = target.type & 8 != 0
    guard target.limit >= (is32 ? 0x67 : 0x2B) else {
      raise(.invalidTSS, error)
      return false
    }
    let old = state.taskRegister
    // Both structures must be accessible before anything changes.
    let oldSize: UInt64 = old.attributes & 8 != 0 ? 0x68 : 0x2C
    guard probeWrite(old.base, oldSize, .supervisor),
      let image = readTask(target.base, is32: is32)
    else { return false }

    if source == .jump || source == .interruptReturn {
      guard changeDescriptorBits(old.selector, set: 0, clear: CPU.busyBit) else { return false }
    }
    var oldFlags = flags
    if source == .interruptReturn { oldFlags &= ~Flags.nestedTask.rawValue }
    guard saveTask(old, flags: oldFlags) else { return false }
    if source == .call || source == .gate {
      guard writeSystem(target.base, 2, UInt64(old.selector)) else { return false }
    }
    if source != .interruptReturn {
      guard setDescriptorBits(selector, CPU.busyBit) else { return false }
    }
    // From here on faults belong to the new task.
    var register = target.segment(selector)
    register.attributes |= 2
    state.taskRegister = register
    state.cr0 |= CR0.taskSwitched.rawValue
    state.faultBelongsToNewTask = true
    return loadTask(image, nested: source == .call || source == .gate)
  }

  private struct TaskImage {
    var is32 = true
    var cr3: UInt64 = 0
    var rip: UInt64 = 0
    var flags: UInt64 = 0
    var registers: InlineArray<8, UInt64> = .init(repeating: 0)
    /// es, cs, ss, ds, fs, gs.
    var selectors: InlineArray<6, UInt16> = .init(repeating: 0)
    var localTable: UInt16 = 0
    var trap = false
  }

  private func readTask(_ base: UInt64, is32: Bool) -> TaskImage? {
    var image = TaskImage()
    image.is32 = is32
    let size: UInt64 = is32 ? 4 : 2
    func field(_ offset: UInt64) -> UInt64? { readSystem(base &+ offset, size) }
    let start: UInt64 = is32 ? 0x20 : 0x0E
    if is32 {
      guard let cr3 = field(0x1C) else { return nil }
      image.cr3 = cr3
    }
    guard let ip = field(start), let flags = field(start + size) else { return nil }
    image.rip = ip
    image.flags = flags
    for index in 0..<8 {
      guard let value = field(start + size * UInt64(2 + index)) else { return nil }
      image.registers[index] = value
    }
    let segmentStart = start + size * 10
    for index in 0..<(is32 ? 6 : 4) {
      guard let value = readSystem(base &+ segmentStart &+ size * UInt64(index), 2) else {
        return nil
      }
      image.selectors[index] = UInt16(truncatingIfNeeded: value)
    }
    guard let local = readSystem(base &+ (is32 ? 0x60 : 0x2A), 2) else { return nil }
    image.localTable = UInt16(truncatingIfNeeded: local)
    if is32 {
      guard let trap = readSystem(base &+ 0x64, 2) else { return nil }
      image.trap = trap & 1 != 0
    }
    return image
  }

  private func saveTask(_ task: Segment, flags: UInt64) -> Bool {
    let is32 = task.attributes & 8 != 0
    let size: UInt64 = is32 ? 4 : 2
    let start: UInt64 = is32 ? 0x20 : 0x0E
    guard writeSystem(task.base &+ start, size, rip),
      writeSystem(task.base &+ start &+ size, size, flags)
    else { return false }
    for index in UInt8(0)..<8 {
      let offset = start + size * UInt64(2 + index)
      guard writeSystem(task.base &+ offset, size, register(at: index * 8)) else { return false }
    }
    for index in 0..<(is32 ? 6 : 4) {
      let offset = start + size * UInt64(10 + index)
      guard writeSystem(task.base &+ offset, 2, UInt64(state.segments[index].selector)) else {
        return false
      }
    }
    return true
  }

  private func loadTask(_ image: TaskImage, nested: Bool) -> Bool {
    if image.is32, state.cr0 & CR0.paging.rawValue != 0, image.cr3 != state.cr3 {
      if state.cr4 & CR4.physicalAddressExtension.rawValue != 0 {
        guard loadPageDirectoryPointers(image.cr3) else {
          raise(.generalProtection, 0)
          return false
        }
      }
      state.cr3 = image.cr3
      env.tlb.flushNonGlobal(context: processContext)
    }
    rip = image.rip
    for index in UInt8(0)..<8 {
      if image.is32 {
        setRegister(at: index * 8, UInt32(truncatingIfNeeded: image.registers[Int(index)]))
      } else {
        setRegister(at: index * 8, UInt16(truncatingIfNeeded: image.registers[Int(index)]))
      }
    }
    state.dr7 &= ~0x155
    var newFlags = image.flags & CPU.definedFlags
    if !image.is32 {
      newFlags = newFlags & 0xFFFF | flags & 0xFFFF_0000 & ~Flags.virtual8086.rawValue
    }
    if nested { newFlags |= Flags.nestedTask.rawValue }
    flags = newFlags
    // Selectors are loaded first, so that a fault finds them; all are unusable until checked.
    for index in 0..<6 {
      var segment = Segment.null
      segment.selector = image.selectors[index]
      state.segments[index] = segment
    }
    state.localTable = .null
    state.localTable.selector = image.localTable
    if newFlags & Flags.virtual8086.rawValue != 0 {
      setPrivilegeLevel(3)
      recomputeMode()
      for register in SegmentRegister.allCases {
        loadParagraph(register, image.selectors[Int(register.rawValue)])
      }
      return loadLocalTable(image.localTable, orRaise: .invalidTSS)
    }
    let level = UInt8(image.selectors[1] & 3)
    setPrivilegeLevel(level)
    recomputeMode()
    guard loadLocalTable(image.localTable, orRaise: .invalidTSS) else { return false }
    guard loadTaskCode(image.selectors[1], level) else { return false }
    guard let stack = checkedStack(image.selectors[2], level, .invalidTSS),
      install(.ss, image.selectors[2], stack)
    else { return false }
    for register in [SegmentRegister.es, .ds, .fs, .gs] {
      guard loadTaskData(register, image.selectors[Int(register.rawValue)]) else { return false }
    }
    guard rip <= UInt64(state.segments[1].limit) else {
      raise(.generalProtection, 0)
      return false
    }
    if image.trap {
      state.pendingDebugTrap |= 1 << 15
      raiseAttention(Attention.singleStep)
    }
    return true
  }

  private func loadTaskCode(_ selector: UInt16, _ level: UInt8) -> Bool {
    let error = UInt32(selector & 0xFFFC)
    guard selector & 0xFFFC != 0, let code = descriptor(selector, orRaise: .invalidTSS) else {
      if state.stop != .fault { raise(.invalidTSS, 0) }
      return false
    }
    let isAllowed =
      code.isConforming ? code.privilegeLevel <= level : code.privilegeLevel == level
    guard code.isCode, isAllowed else {
      raise(.invalidTSS, error)
      return false
    }
    guard code.isPresent else {
      raise(.segmentNotPresent, error)
      return false
    }
    return install(.cs, selector, code)
  }

  private func loadTaskData(_ register: SegmentRegister, _ selector: UInt16) -> Bool {
    guard selector & 0xFFFC != 0 else {
      segmentChanged(register)
      return true
    }
    let error = UInt32(selector & 0xFFFC)
    guard let data = descriptor(selector, orRaise: .invalidTSS) else { return false }
    let isConforming = data.isCode && data.isConforming
    guard data.isCodeOrData, !data.isCode || data.isReadableCode,
      isConforming
        || max(UInt8(selector & 3), state.privilegeLevel) <= data.privilegeLevel
    else {
      raise(.invalidTSS, error)
      return false
    }
    guard data.isPresent else {
      raise(.segmentNotPresent, error)
      return false
    }
    return install(register, selector, data)
  }
}
