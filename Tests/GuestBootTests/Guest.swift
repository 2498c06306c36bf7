import Foundation

/// The Debian kernels that Martlet boots unmodified.
enum Guest: String, CaseIterable, Sendable {
  case cloudAmd64 = "cloud-amd64"
  case amd64
  case i686 = "686"
  case i686WithPAE = "686-pae"

  var kernel: URL { Self.directory.appending(path: "\(rawValue)/vmlinuz") }

  var initialRamdisk: URL {
    let architecture = rawValue.hasPrefix("686") ? "i386" : "amd64"
    return Self.directory.appending(path: "initramfs-\(architecture).cpio.gz")
  }

  static var allArePresent: Bool { allCases.allSatisfy(\.isPresent) }

  var isPresent: Bool {
    [kernel, initialRamdisk].allSatisfy { FileManager.default.isReadableFile(atPath: $0.path()) }
  }

  /// The modules for virtio devices on PCI, in the order in which they load.
  static let virtioModules = [
    "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
  ]

  /// As `Scripts/common.sh` finds it.
  static let directory: URL = {
    let environment = ProcessInfo.processInfo.environment
    if let directory = environment["MARTLET_GUESTS"], !directory.isEmpty {
      return URL(fileURLWithPath: directory)
    }
    let cache =
      environment["XDG_CACHE_HOME"].flatMap { $0.isEmpty ? nil : URL(fileURLWithPath: $0) }
      ?? FileManager.default.homeDirectoryForCurrentUser.appending(path: ".cache")
    return cache.appending(path: "martlet/guests")
  }()
}
