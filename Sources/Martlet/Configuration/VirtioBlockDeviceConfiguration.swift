public import DiskImages
public import FoundationEssentials

/// A virtio disk.
public struct VirtioBlockDeviceConfiguration: Sendable {
  /// A raw or qcow2 image: a file, or a block device of the host. It and its backing files are locked while the
  /// machine runs, so that no two machines write to it.
  public var imageURL: URL
  /// The image's format; `nil` to have it told by the first bytes.
  public var format: ImageFormat?
  /// The guest cannot write to the disk. Several machines may share such an image.
  public var isReadOnly: Bool
  /// What the guest writes goes to a temporary file, and away with the machine; the image is only read.
  public var isSnapshot: Bool
  /// What the guest sees as the disk's serial number, 20 bytes of ASCII at most; `nil` for one made of the
  /// disk's number.
  public var serialNumber: String?

  public init(
    imageURL: URL, format: ImageFormat? = nil, isReadOnly: Bool = false, isSnapshot: Bool = false,
    serialNumber: String? = nil
  ) {
    self.imageURL = imageURL
    self.format = format
    self.isReadOnly = isReadOnly
    self.isSnapshot = isSnapshot
    self.serialNumber = serialNumber
  }
}
