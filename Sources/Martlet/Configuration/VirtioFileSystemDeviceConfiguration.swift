public import FileSharing
public import FoundationEssentials

/// A folder of the host that the guest sees, by virtio-fs: `mount -t virtiofs TAG /mnt`.
public struct VirtioFileSystemDeviceConfiguration: Sendable {
  public var directoryURL: URL
  /// What the guest mounts it by, 1 to 36 bytes of UTF-8; no two folders of a machine have the same.
  public var tag: String
  public var options: SharingOptions

  public init(
    directoryURL: URL, tag: String = "share", options: SharingOptions = SharingOptions()
  ) {
    self.directoryURL = directoryURL
    self.tag = tag
    self.options = options
  }
}
