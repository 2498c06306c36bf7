import X86
import X86Decoder

/// Runs vector and x87 instructions on the host.
extension CPU {
  private typealias Offset = ExtendedState.Offset

  func lowerHost(_ instruction: Instruction, _ micro: inout MicroInstruction) {
    guard let number = env.host.stub(for: instruction, is64Bit: state.mode.is64Bit) else {
      micro.handler = .undefined
      return
    }
    micro.handler = .hostExecuted
    micro.immediate = UInt64(number)
  }

  func executeOnHost(_ op: Micro) -> Status {
    let unit = env.host
    let registers = unit.registers
    // SAFETY: lowering stored the number of a compiled stub.
    let stub = unsafe unit.stub(Int(op.immediate)).pointee
    let i = stub.instruction
    if let refusal = refusal(i, registers) { return refusal }
    let address = i.memorySize > 0 ? effectiveAddress(op) : 0
    guard prepareMemory(op, i, address, registers) else { return .stop }
    if i.usesFlags { registers.store(arithmeticFlags | 2, Offset.flags) }
    if let general = i.general {
      registers.store(register(at: general &* 8, UInt64.self), Offset.rax)
    }
    if i.comparesStrings {
      registers.store(self[.rax], Offset.rax)
      registers.store(self[.rcx], Offset.rcx)
      registers.store(self[.rdx], Offset.rdx)
    }
    // A store that faults must leave the x87 registers as they were: FSTP pops.
    if i.isX87, i.writes {
      guard probe(op, i, address) else { return .stop }
      registers.rememberX87()
    }
    registers.store(UInt32(0), Offset.status)
    // SAFETY: the entry is code that the unit compiled; it touches the registers' memory only.
    let run = unsafe unsafeBitCast(
      stub.entry, to: (@convention(c) (UnsafeMutableRawPointer) -> Void).self)
    unsafe run(registers.base)
    let status = registers.load(Offset.status, UInt32.self)
    if status != 0 { return raiseHostFault(status) }
    if i.isEscape { notePointers(op, i, address, registers) }
    if i.writes {
      let buffer = unsafe registers.base + Offset.buffer
      guard unsafe writeBytes(op.segment, address, Int(i.memorySize), from: buffer) else {
        // A device's register: the instruction runs again, and must not pop twice.
        if i.isX87 { registers.recallX87() }
        return .stop
      }
    }
    if let general = i.general {
      setRegister(at: general &* 8, registers.load(Offset.rax, UInt64.self))
    }
    if i.comparesStrings { self[.rcx] = registers.load(Offset.rcx) }
    if i.usesFlags {
      arithmeticFlags = registers.load(Offset.flags, UInt64.self) & Flags.arithmetic.rawValue
    }
    return .next
  }

  // MARK: Faults

  /// The exceptions that come before any access (SDM 3A 2.5, table 2-2, and SDM 1 8.7).
  ///
  /// Without CR0.NE an unmasked x87 exception would reach the guest as interrupt 13; it is #MF here too.
  private func refusal(_ i: HostInstruction, _ registers: ExtendedState) -> Status? {
    let cr0 = state.cr0
    let isSwitched = cr0 & CR0.taskSwitched.rawValue != 0
    if i.isWait {
      if isSwitched, cr0 & CR0.monitorCoprocessor.rawValue != 0 {
        return raise(.deviceNotAvailable)
      }
      return registers.isX87ExceptionPending ? raise(.floatingPoint) : nil
    }
    if i.isEscape {
      if isSwitched || cr0 & CR0.emulation.rawValue != 0 { return raise(.deviceNotAvailable) }
    } else if i.isVEX {
      guard state.cr4 & CR4.osXSAVE.rawValue != 0, state.xcr0 & 6 == 6 else {
        return raise(.invalidOpcode)
      }
      if isSwitched { return raise(.deviceNotAvailable) }
    } else {
      if cr0 & CR0.emulation.rawValue != 0 { return raise(.invalidOpcode) }
      if !i.isX87, state.cr4 & CR4.osFXSR.rawValue == 0 { return raise(.invalidOpcode) }
      if isSwitched { return raise(.deviceNotAvailable) }
    }
    if i.isX87, i.waits, registers.isX87ExceptionPending { return raise(.floatingPoint) }
    return nil
  }

  private func raiseHostFault(_ status: UInt32) -> Status {
    guard status == 1 else { return raise(.invalidOpcode) }
    let isEnabled = state.cr4 & CR4.osXMMExceptions.rawValue != 0
    return raise(isEnabled ? .simdFloatingPoint : .invalidOpcode)
  }

  // MARK: Memory operands

  private func prepareMemory(
    _ op: Micro, _ i: HostInstruction, _ address: UInt64, _ registers: ExtendedState
  ) -> Bool {
    guard i.memorySize > 0 else { return true }
    if i.alignment > 1 {
      let linear = (address &+ state.linearBase[Int(op.segment)]) & state.linearMask
      guard linear & UInt64(i.alignment - 1) == 0 else {
        raise(.generalProtection, 0)
        return false
      }
    }
    guard i.reads else { return true }
    let buffer = unsafe registers.base + Offset.buffer
    // SAFETY: the buffer has room for the largest operand; `fastHost` vouches for its range.
    if let found = unsafe fastHost(op.segment, address, UInt64(i.memorySize), isWrite: false) {
      unsafe buffer.copyMemory(from: found.host, byteCount: Int(i.memorySize))
      return true
    }
    return unsafe readBytes(op.segment, address, Int(i.memorySize), into: buffer)
  }

  /// Checks that the operand can be written.
  private func probe(_ op: Micro, _ i: HostInstruction, _ address: UInt64) -> Bool {
    let size = UInt64(i.memorySize)
    if unsafe fastHost(op.segment, address, size, isWrite: true) != nil { return true }
    guard let linear = linearAddress(op.segment, address, size, .write) else { return false }
    return probeWrite(linear, size, dataRight, segment: op.segment)
  }

  // MARK: x87 pointers

  private func notePointers(
    _ op: Micro, _ i: HostInstruction, _ address: UInt64, _ registers: ExtendedState
  ) {
    if i.memorySize == 14 || i.memorySize == 28 || i.memorySize == 94 || i.memorySize == 108 {
      let buffer = unsafe registers.base + Offset.buffer
      let isWide = i.memorySize == 28 || i.memorySize == 108
      let isReal = state.mode.isParagraphMode
      if i.writes {
        unsafe registers.pointers.write(to: buffer, isWide: isWide, isReal: isReal)
        if i.memorySize >= 94 { registers.pointers = ExtendedState.Pointers() }
      } else {
        registers.pointers = unsafe ExtendedState.Pointers(
          from: buffer, isWide: isWide, isReal: isReal)
      }
      return
    }
    if i.opcode == 0x3E3 { registers.pointers = ExtendedState.Pointers() }  // FNINIT
    guard !i.isControl, !i.isWait else { return }
    registers.pointers.opcode = i.opcode & 0x7FF
    registers.pointers.instruction = rip &+ UInt64(op.offset)
    registers.pointers.codeSelector = state.segments[1].selector
    guard i.memorySize > 0 else { return }
    registers.pointers.data = address
    registers.pointers.dataSelector = op.segment < 6 ? state.segments[Int(op.segment)].selector : 0
  }
}
