private import CHost
internal import EngineInterface
private import Glibc

/// MSRs whose accesses KVM hands to user space (`Documentation/virt/kvm/api.rst` 4.97, 7.21).
enum MSRDelegation {
  /// - Throws: `unsupported` where the kernel, older than Linux 5.10, cannot, or the ranges are more or
  ///   larger than it takes.
  static func set(_ ranges: [ClosedRange<UInt32>], on machine: KVMFile) throws(EngineFailure) {
    guard !ranges.isEmpty else { return }
    guard ranges.count <= Int(CHOST_KVM_MSR_RANGES),
      ranges.allSatisfy({ $0.upperBound - $0.lowerBound < UInt32(CHOST_KVM_MSR_RANGE_COUNT) })
    else { throw .unsupported("so many delegated MSRs") }
    guard machine.capability(KVM_CAP_X86_USER_SPACE_MSR) > 0,
      machine.capability(KVM_CAP_X86_MSR_FILTER) > 0
    else { throw .unsupported("delegated MSRs on this kernel; Linux 5.10 or later does") }

    var exits = kvm_enable_cap()
    exits.cap = UInt32(KVM_CAP_X86_USER_SPACE_MSR)
    exits.args.0 = UInt64(KVM_MSR_EXIT_REASON_FILTER)
    try machine.call(.enableCapability, &exits)
    let firsts = ranges.map(\.lowerBound)
    let counts = ranges.map { $0.upperBound - $0.lowerBound + 1 }
    // SAFETY: both arrays have as many elements as the count says.
    let result = unsafe chost_kvm_deny_msrs(
      machine.descriptor, firsts, counts, Int32(ranges.count))
    guard result == 0 else { throw .host(call: "KVM_X86_SET_MSR_FILTER", errno: errno) }
  }
}
