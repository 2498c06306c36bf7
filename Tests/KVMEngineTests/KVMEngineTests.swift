import CHost
import Testing

@testable import KVMEngine

struct KVMHostTests {
  /// The values that C's `_IOW` macros give on x86-64.
  @Test func `the codes of the requests are those of the kernel's header`() {
    #expect(KVMRequest<UInt>.getAPIVersion.code == 0xAE00)
    #expect(KVMRequest<UInt>.run.code == 0xAE80)
    #expect(KVMRequest<kvm_userspace_memory_region>.setUserMemoryRegion.code == 0x4020_AE46)
    #expect(KVMRequest<UInt64>.setIdentityMapAddress.code == 0x4008_AE48)
    #expect(KVMRequest<kvm_enable_cap>.enableCapability.code == 0x4068_AEA3)
    #expect(KVMRequest<kvm_msi>.signalMSI.code == 0x4020_AEA5)
  }

  @Test func `a missing device is reported with what to do`() {
    let report = KVMHost.probe(device: "/nonexistent/kvm")
    #expect(!report.isUsable && !report.isPreferred)
    #expect(report.description.hasPrefix("/nonexistent/kvm does not exist"))
  }

  @Test func `a device that is not KVM's is refused for its API version`() {
    #expect(KVMHost.probe(device: "/dev/null").status == .wrongAPIVersion(-1))
  }

  @Test func `software KVM is never preferred`() {
    let report = KVMHost.probe(cpuInfo: "/dev/null")
    #expect(!report.isBackedByHardware && !report.isPreferred)
  }

  @Test func `the virtualization flag is a whole word`() {
    #expect(KVMHost.virtualizationFlag(inCPUInfo: "flags\t\t: fpu vmx sse") == "vmx")
    #expect(KVMHost.virtualizationFlag(inCPUInfo: "flags\t\t: fpu svm_lock avmx") == nil)
  }
}
