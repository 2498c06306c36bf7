private import CHost
private import Glibc

/// What this host's `/dev/kvm` offers, and what is in the way where it cannot be used.
public enum KVMHost {
  /// The version of the API since Linux 2.6.22; the kernel's documentation promises no other.
  static let expectedAPIVersion: Int32 = 12

  /// Looks at `/dev/kvm` and the host's processor; changes nothing.
  ///
  /// - Parameters:
  ///   - device: the device node.
  ///   - cpuInfo: the kernel's description of the processors.
  public static func probe(
    device: String = "/dev/kvm", cpuInfo: String = "/proc/cpuinfo"
  ) -> KVMReport {
    let hasExtensions = virtualizationFlag(inCPUInfo: contents(of: cpuInfo)) != nil
    let file = unsafe open(device, O_RDWR | O_CLOEXEC)
    guard file >= 0 else {
      return KVMReport(status: .cannotOpen(device: device, errno: errno), hasExtensions)
    }
    defer { close(file) }
    let version = chost_ioctl_value(file, KVMRequest<UInt>.getAPIVersion.code, 0)
    guard version == expectedAPIVersion else {
      return KVMReport(status: .wrongAPIVersion(version), hasExtensions)
    }
    let missing = KVMCapability.required.filter {
      chost_ioctl_value(file, KVMRequest<UInt>.checkExtension.code, $0.number) <= 0
    }
    return KVMReport(
      status: missing.isEmpty ? .usable : .missingCapabilities(missing.map(\.name)), hasExtensions)
  }

  /// `vmx` or `svm`, where the first processor has it.
  static func virtualizationFlag(inCPUInfo text: String) -> String? {
    let line = text.split(separator: "\n").first { $0.hasPrefix("flags") }
    return line?.split(whereSeparator: { $0 == " " || $0 == "\t" })
      .first { $0 == "vmx" || $0 == "svm" }.map(String.init)
  }

  private static func contents(of path: String) -> String {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var text = [UInt8]()
    var buffer = [UInt8](repeating: 0, count: 16384)
    // The first processor's entry is all that is asked for.
    while text.count < 65536 {
      // SAFETY: the array is as long as the count passed.
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe Glibc.read(file, $0.baseAddress, $0.count)
      }
      guard count > 0 else { break }
      text += buffer[..<count]
    }
    return String(decoding: text, as: UTF8.self)
  }
}

/// A capability by the name that the kernel's documentation gives it.
struct KVMCapability: Sendable {
  let name: String
  let number: UInt

  /// What the engine cannot do without (`Documentation/virt/kvm/api.rst` 4.4, 8).
  static let required = [
    KVMCapability(name: "KVM_CAP_USER_MEMORY", number: 3),
    KVMCapability(name: "KVM_CAP_SET_TSS_ADDR", number: 4),
    KVMCapability(name: "KVM_CAP_EXT_CPUID", number: 7),
    KVMCapability(name: "KVM_CAP_MP_STATE", number: 14),
    KVMCapability(name: "KVM_CAP_VCPU_EVENTS", number: 41),
    KVMCapability(name: "KVM_CAP_DEBUGREGS", number: 50),
    KVMCapability(name: "KVM_CAP_XSAVE", number: 55),
    KVMCapability(name: "KVM_CAP_XCRS", number: 56),
    KVMCapability(name: "KVM_CAP_SIGNAL_MSI", number: 77),
    KVMCapability(name: "KVM_CAP_SPLIT_IRQCHIP", number: 121),
    KVMCapability(name: "KVM_CAP_IMMEDIATE_EXIT", number: 136),
  ]
}
