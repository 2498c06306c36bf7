/// The head of KVM's structures that end in an array: `kvm_msrs`, `kvm_cpuid2`, `kvm_irq_routing`.
/// The arrays are passed as 32-bit words, the head first, since Swift's importer cannot say them.
struct KVMList: Sendable {
  var count: UInt32
  var other: UInt32
}
