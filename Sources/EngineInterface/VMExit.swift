public import MachineTypes
public import X86

/// Why a virtual CPU stopped and what it asks of the machine.
public enum VMExit: Hashable, Sendable {
  /// An IN. The machine answers with `VMEntry.completeRead`.
  case portRead(PortAddress, AccessWidth)
  /// An OUT.
  case portWrite(PortAddress, AccessWidth, UInt32)
  /// A load from an address that is not RAM. The machine answers with `VMEntry.completeRead`.
  case mmioRead(GuestPhysicalAddress, AccessWidth)
  /// A store to an address that is not RAM.
  case mmioWrite(GuestPhysicalAddress, AccessWidth, UInt64)
  /// RDMSR of a register the engine leaves to the machine (paravirtual interfaces). Answered with
  /// `completeRead` or `injectGeneralProtection`.
  case msrRead(MSRIndex)
  /// WRMSR of such a register. Answered with `resume` or `injectGeneralProtection`.
  case msrWrite(MSRIndex, UInt64)
  /// VMCALL or VMMCALL. Answered with `completeRead`, whose value becomes RAX.
  case hypercall(Hypercall)
  /// A local APIC got an EOI for a level-triggered vector, which I/O APICs want to hear of.
  case endOfInterrupt(InterruptVector)
  /// The CPU is in HLT (or waits for SIPI) and nothing is pending: sleep in
  /// `VirtualCPU.waitForEvent()`, then run again.
  case halt
  /// A triple fault.
  case shutdown
  /// `VirtualCPU.kick()` was called, or a signal came.
  case interrupted
  /// The instruction budget is used up, exactly.
  case budgetExhausted
  /// A debug event that the machine asked for.
  case debug(GuestVirtualAddress)
}

/// A call of the guest to its hypervisor (Linux `Documentation/virt/kvm/x86/hypercalls.rst`).
public struct Hypercall: Hashable, Sendable {
  public var number: UInt64
  /// RBX, RCX, RDX, RSI.
  public var arguments: [UInt64]
  public var privilegeLevel: UInt8
  public var is64Bit: Bool

  public init(number: UInt64, arguments: [UInt64], privilegeLevel: UInt8, is64Bit: Bool) {
    self.number = number
    self.arguments = arguments
    self.privilegeLevel = privilegeLevel
    self.is64Bit = is64Bit
  }
}

/// How a virtual CPU goes on after an exit.
public enum VMEntry: Hashable, Sendable {
  case resume
  /// The value for the `portRead`, `mmioRead`, `msrRead` or `hypercall` that was the last exit.
  case completeRead(UInt64)
  /// The last exit's `msrRead` or `msrWrite` is refused: #GP(0).
  case injectGeneralProtection
}
