private import Glibc

/// What the host offers of hardware virtualization.
public enum HardwareVirtualization: Hashable, Sendable {
  case available
  /// KVM is there, and no VT-x or AMD-V behind it that this system can see.
  case withoutHardware
  case noDevice(processorHasFeature: Bool)
  case noPermission
  case failed(HostError)

  /// Opens `/dev/kvm`, and closes it again.
  public static func probe() -> HardwareVirtualization {
    let file = unsafe open("/dev/kvm", O_RDWR | O_CLOEXEC)
    guard file >= 0 else {
      switch errno {
      case ENOENT, ENODEV, ENXIO: return .noDevice(processorHasFeature: processorHasFeature)
      case EACCES, EPERM: return .noPermission
      default: return .failed(.current("open"))
      }
    }
    close(file)
    return processorHasFeature ? .available : .withoutHardware
  }

  private static var processorHasFeature: Bool {
    guard let bytes = try? HostFile.read(path: "/proc/cpuinfo", limit: 16 << 20) else {
      return false
    }
    let flags = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first {
      $0.hasPrefix("flags")
    }
    let words = flags?.split(separator: " ") ?? []
    return words.contains("vmx") || words.contains("svm")
  }
}
