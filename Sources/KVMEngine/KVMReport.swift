private import Glibc

/// The findings of `KVMHost.probe`.
public struct KVMReport: Hashable, Sendable {
  public enum Status: Hashable, Sendable {
    case usable
    case cannotOpen(device: String, errno: Int32)
    case wrongAPIVersion(Int32)
    /// By their names in the kernel's documentation.
    case missingCapabilities([String])
  }

  public var status: Status
  /// Whether the host's processor shows VT-x or AMD-V (`vmx` or `svm`). A KVM on a host without
  /// them works in software, and is slower than Martlet's own engine.
  public var isBackedByHardware: Bool

  init(status: Status, _ isBackedByHardware: Bool) {
    self.status = status
    self.isBackedByHardware = isBackedByHardware
  }

  public var isUsable: Bool { status == .usable }

  /// Whether the choice `auto` may fall on KVM.
  public var isPreferred: Bool { isUsable && isBackedByHardware }
}

extension KVMReport: CustomStringConvertible {
  /// What was found and, where something is in the way, what to do about it.
  public var description: String {
    switch status {
    case .usable where isBackedByHardware: "KVM is usable"
    case .usable:
      "KVM is there, but the processor shows neither VT-x nor AMD-V (no vmx or svm in "
        + "/proc/cpuinfo): it works in software and is slow; ask for it explicitly to use it"
    case .cannotOpen(let device, ENOENT) where isBackedByHardware:
      "\(device) does not exist: load the kernel module (modprobe kvm_intel or kvm_amd), or in a "
        + "container pass the device in (--device /dev/kvm)"
    case .cannotOpen(let device, ENOENT):
      "\(device) does not exist and the processor shows neither VT-x nor AMD-V: enable "
        + "virtualization in the firmware, or nested virtualization if this is a virtual machine"
    case .cannotOpen(let device, EACCES), .cannotOpen(let device, EPERM):
      "no permission to open \(device): add the user to the group that owns it (usermod -aG kvm "
        + "USER) and log in again"
    case .cannotOpen(let device, ENODEV), .cannotOpen(let device, ENXIO):
      "\(device) has no driver behind it: load the kernel module (modprobe kvm_intel or kvm_amd)"
    case .cannotOpen(let device, let code): "\(device) cannot be opened: errno \(code)"
    case .wrongAPIVersion(..<0):
      "/dev/kvm is not KVM's device: remove it, and load the kernel module (modprobe kvm_intel or "
        + "kvm_amd), which makes it anew"
    case .wrongAPIVersion(let version):
      "KVM speaks version \(version) of its API and Martlet needs "
        + "\(KVMHost.expectedAPIVersion): use a kernel from Linux 2.6.22 on"
    case .missingCapabilities(let names):
      "this KVM lacks \(names.joined(separator: ", ")): use a newer kernel, Linux 4.13 or later"
    }
  }
}
