import MachineTypes
import X86

/// The descriptor table and register states that the boot protocols ask for.
enum EntryState {
  private static let codeSelector: UInt16 = 0x10  // __BOOT_CS
  private static let dataSelector: UInt16 = 0x18  // __BOOT_DS
  private static let taskSelector: UInt16 = 0x20
  private static let taskLimit: UInt32 = 0x67

  /// Null, unused, code, data, and the two halves of a task-state segment descriptor.
  static func globalDescriptorTable(is64Bit: Bool) -> [UInt8] {
    let code: UInt64 = is64Bit ? 0x00AF_9B00_0000_FFFF : 0x00CF_9B00_0000_FFFF
    let data: UInt64 = 0x00CF_9300_0000_FFFF
    let task = 0x0000_8B00_0000_0000 | BootLayout.taskStateSegment << 16 | UInt64(taskLimit)
    return [0, 0, code, data, task, 0].flatMap { entry in
      (0..<8).map { UInt8(truncatingIfNeeded: entry >> (8 * $0)) }
    }
  }

  /// Flat protected mode without paging, interrupts off (boot.rst, 32-bit boot protocol; PVH ABI).
  static func protectedMode(signature: UInt32, entry: UInt64) -> VirtualCPUState {
    var state = flat(signature: signature, entry: entry, codeAttributes: 0xC09B)
    state.cr0 = [.protectionEnable, .extensionType]
    return state
  }

  /// 64-bit mode with the page tables at `BootLayout.pageTables` (boot.rst, 64-bit boot protocol).
  static func longMode(signature: UInt32, entry: UInt64) -> VirtualCPUState {
    var state = flat(signature: signature, entry: entry, codeAttributes: 0xA09B)
    state.cr0 = [.protectionEnable, .extensionType, .paging]
    state.cr3 = BootLayout.pageTables
    state.cr4 = [.physicalAddressExtension]
    state.efer = [.longModeEnable, .longModeActive]
    return state
  }

  private static func flat(
    signature: UInt32, entry: UInt64, codeAttributes: UInt32
  ) -> VirtualCPUState {
    var state = VirtualCPUState.reset(signature: signature)
    let data = SegmentState(
      selector: dataSelector, base: 0, limit: 0xFFFF_FFFF, attributes: 0xC093)
    let code = SegmentState(
      selector: codeSelector, base: 0, limit: 0xFFFF_FFFF, attributes: codeAttributes)
    state.segments = [data, code, data, data, data, data]
    state.taskRegister = SegmentState(
      selector: taskSelector, base: BootLayout.taskStateSegment, limit: taskLimit, attributes: 0x8B)
    state.globalDescriptorTable = DescriptorTableState(
      base: BootLayout.globalDescriptorTable, limit: 6 * 8 - 1)
    state.interruptDescriptorTable = DescriptorTableState(base: 0, limit: 0)
    state.generalRegisters = [UInt64](repeating: 0, count: 16)
    state[.rsp] = BootLayout.stackTop
    state.instructionPointer = entry
    return state
  }
}

extension VirtualCPUState {
  subscript(register: GeneralRegister) -> UInt64 {
    get { generalRegisters[Int(register.rawValue)] }
    set { generalRegisters[Int(register.rawValue)] = newValue }
  }
}
