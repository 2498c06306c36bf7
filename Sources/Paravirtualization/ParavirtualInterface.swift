public import DeviceModel
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

/// A register as a guest set it, in the form that snapshots keep.
public struct ParavirtualRegister: Hashable, Codable, Sendable {
  /// `VirtualCPUIndex.rawValue`.
  public var processor: UInt32
  /// `MSRIndex.rawValue`.
  public var index: UInt32
  public var value: UInt64

  public init(processor: UInt32, index: UInt32, value: UInt64) {
    self.processor = processor
    self.index = index
    self.value = value
  }
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

  /// Everything that guests set, ascending by processor.
  func save() -> [ParavirtualRegister]
  /// Takes over what was saved; guest memory, which is restored on its own, is not written. On an error
  /// the interface stays as it was.
  mutating func restore(_ registers: [ParavirtualRegister]) throws(RestoreError)
}
