public import FoundationEssentials

/// Boots a Linux kernel directly, without firmware: a bzImage as distributions ship it, an ELF
/// `vmlinux`, or an ELF kernel with a PVH entry.
public struct LinuxBootLoader: Sendable {
  public var kernelURL: URL
  /// The initial RAM disk or file system.
  public var initialRamdiskURL: URL?
  public var commandLine: String
  /// The guest-physical address to load the kernel at; `nil` for where it prefers to be.
  public var kernelAddress: UInt64?

  public init(
    kernelURL: URL, initialRamdiskURL: URL? = nil, commandLine: String = "console=ttyS0",
    kernelAddress: UInt64? = nil
  ) {
    self.kernelURL = kernelURL
    self.initialRamdiskURL = initialRamdiskURL
    self.commandLine = commandLine
    self.kernelAddress = kernelAddress
  }
}
