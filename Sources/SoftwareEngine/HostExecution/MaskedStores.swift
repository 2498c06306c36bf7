import X86
import X86Decoder

/// MASKMOVQ and MASKMOVDQU: stores of selected bytes to rDI (SDM 2B).
extension CPU {
  func storeMasked(_ op: Micro, _ instruction: Instruction) -> Status {
    let isMMX = instruction.operation == .maskmovq
    if instruction.operation == .vmaskmovdqu {
      guard state.cr4 & CR4.osXSAVE.rawValue != 0, state.xcr0 & 6 == 6 else {
        return raise(.invalidOpcode)
      }
    } else {
      let hasRegisters = isMMX || state.cr4 & CR4.osFXSR.rawValue != 0
      guard state.cr0 & CR0.emulation.rawValue == 0, hasRegisters else {
        return raise(.invalidOpcode)
      }
    }
    guard state.cr0 & CR0.taskSwitched.rawValue == 0 else { return raise(.deviceNotAvailable) }
    let registers = env.host.registers
    if isMMX, registers.isX87ExceptionPending { return raise(.floatingPoint) }
    // The image has ST0 first; MM0 is the physical register 0.
    let top = Int(registers.load(ExtendedState.Offset.statusWord, UInt16.self) >> 11 & 7)
    func place(_ number: UInt8) -> Int {
      isMMX
        ? ExtendedState.Offset.stack + ((Int(number & 7) - top) & 7) * 16
        : ExtendedState.Offset.vectors + Int(number) * 32
    }
    let start = self[.rdi] & op.addressMask
    for byte in 0..<(isMMX ? 8 : 16) {
      let mask: UInt8 = registers.load(place(instruction.rm) + byte)
      guard mask & 0x80 != 0 else { continue }
      let value: UInt8 = registers.load(place(instruction.reg) + byte)
      guard write(op.segment, (start &+ UInt64(byte)) & op.addressMask, value) else {
        return .stop
      }
    }
    if isMMX { registers.enterMMX() }
    return .next
  }
}
