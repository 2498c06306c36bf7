public import MachineTypes
public import X86

/// How a hypervisor interface answers an access to one of its MSRs.
public enum MSROutcome: Hashable, Sendable {
  /// Not one of this interface's: ask the next.
  case notHandled
  /// Done; the value counts for reads.
  case completed(UInt64)
  /// Inject #GP(0).
  case generalProtection
}

/// What one hypervisor offers its guests: a KVM, Xen, VMware or Hyper-V guest finds its own.
///
/// A value that answers with values; it knows guest memory and time, and no engine.
public protocol ParavirtualInterface: Sendable {
  /// The 12 bytes in EBX, ECX and EDX of its first CPUID leaf.
  var signature: String { get }
  /// How many leaves it has, its first one included: at `base`, `base` + 1, …
  var leafCount: UInt32 { get }
  /// The answer for leaf `base` + `offset`, `offset` from 1.
  func leaf(_ offset: UInt32) -> CPUIDEntry?
  /// MSRs that the engine is to hand over.
  var msrs: [ClosedRange<UInt32>] { get }

  mutating func readMSR(_ index: MSRIndex, on processor: VirtualCPUIndex) -> MSROutcome
  mutating func writeMSR(
    _ index: MSRIndex, _ value: UInt64, on processor: VirtualCPUIndex
  ) -> MSROutcome
  /// What RAX becomes; `nil` for a call it does not know.
  mutating func hypercall(number: UInt64, arguments: [UInt64], privilegeLevel: UInt8) -> UInt64?
  mutating func reset()
}
