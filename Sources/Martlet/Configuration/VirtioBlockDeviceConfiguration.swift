public import DeviceModel
import DiskImages
public import FoundationEssentials

/// A virtio disk.
public struct VirtioBlockDeviceConfiguration: Sendable {
  /// An image: a file, or a block device of the host. It and its backing files are locked while the machine runs,
  /// so that no two machines write to it. Or the address of an NBD server's export: `nbd://HOST[:PORT]/EXPORT` or
  /// `nbd+unix:///EXPORT?socket=PATH`; `nbds` in place of `nbd` for TLS.
  public var imageURL: URL
  /// The image's format: `raw` or `qcow2`, or QEMU's name of another (`vmdk`, `vhdx`, `vpc`, `vdi`, `parallels`, …),
  /// which `qemu-nbd` then serves; `nil` to have it told by the image's first bytes, for others than raw and qcow2
  /// images together with its name.
  public var format: String?
  /// The guest cannot write to the disk. Several machines may share such an image.
  public var isReadOnly: Bool
  /// What the guest writes goes to a temporary file, and away with the machine; the image is only read.
  public var isSnapshot: Bool
  /// What the guest sees as the disk's serial number, 20 bytes of ASCII at most; `nil` for one made of the
  /// disk's number.
  public var serialNumber: String?
  /// How fast requests may be carried out.
  public var rateLimits = RateLimits()

  public init(
    imageURL: URL, format: String? = nil, isReadOnly: Bool = false, isSnapshot: Bool = false,
    serialNumber: String? = nil
  ) {
    self.imageURL = imageURL
    self.format = format
    self.isReadOnly = isReadOnly
    self.isSnapshot = isSnapshot
    self.serialNumber = serialNumber
  }
}

extension VirtioBlockDeviceConfiguration {
  func validate() throws(ConfigurationError) {
    if let format, ForeignFormat(driver: format) == nil { throw .badDiskFormat(format) }
    guard !imageURL.isFileURL else { return }
    let url = imageURL.absoluteString
    guard let scheme = imageURL.scheme?.lowercased(), NBDServer.schemes.contains(scheme) else {
      throw .notAFileURL(url)
    }
  }
}
