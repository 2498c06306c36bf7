internal import CHost

/// What the host says of a file (statx(2)).
public struct FileStatus: Hashable, Sendable {
  /// Which file it is, among all that there are on the host at a time.
  public struct Identity: Hashable, Sendable {
    /// The mount that it was reached by; 0 where the host does not tell.
    public var mount: UInt64
    public var device: UInt64
    public var inode: UInt64
  }

  /// The file type of `mode` (S_IFMT).
  public enum Kind: Hashable, Sendable {
    case regular, directory, symbolicLink
    /// FIFOs, sockets and devices.
    case special
  }

  /// Seconds and nanoseconds since 1970.
  public struct Time: Hashable, Sendable {
    public var seconds: Int64
    public var nanoseconds: UInt32

    public init(seconds: Int64, nanoseconds: UInt32) {
      self.seconds = seconds
      self.nanoseconds = nanoseconds
    }
  }

  public var identity: Identity
  /// In bytes.
  public var byteCount: UInt64
  /// Of 512 bytes.
  public var blockCount: UInt64
  /// What is best read or written at once, in bytes.
  public var preferredByteCount: UInt32
  public var accessed: Time
  public var modified: Time
  public var changed: Time
  /// When the inode was made; tells two apart that have had the same number. 0 where the host does not
  /// know.
  public var born: Time
  /// Type and permissions (S_IFMT and the bits below).
  public var mode: UInt32
  public var linkCount: UInt32
  public var user: UInt32
  public var group: UInt32
  /// Of a device node, as Linux's new_encode_dev packs it.
  public var specialDevice: UInt32

  public var kind: Kind {
    switch mode & 0o170000 {
    case 0o100000: .regular
    case 0o040000: .directory
    case 0o120000: .symbolicLink
    default: .special
    }
  }

  init(_ status: chost_status) {
    identity = Identity(mount: status.mount, device: status.device, inode: status.inode)
    byteCount = status.size
    blockCount = status.blocks
    preferredByteCount = status.block_size
    accessed = Time(seconds: status.accessed, nanoseconds: status.accessed_nanoseconds)
    modified = Time(seconds: status.modified, nanoseconds: status.modified_nanoseconds)
    changed = Time(seconds: status.changed, nanoseconds: status.changed_nanoseconds)
    born = Time(seconds: status.born, nanoseconds: status.born_nanoseconds)
    mode = status.mode
    linkCount = status.links
    user = status.user
    group = status.group
    specialDevice = status.special_device
  }
}

/// What the host says of a file system (statfs(2)).
public struct VolumeStatus: Hashable, Sendable {
  /// The file system's magic number.
  public var type: UInt64
  /// In units of `fragmentByteCount`.
  public var blockCount: UInt64
  public var freeBlockCount: UInt64
  public var availableBlockCount: UInt64
  public var fileCount: UInt64
  public var freeFileCount: UInt64
  public var blockByteCount: UInt32
  public var fragmentByteCount: UInt32
  public var mostNameBytes: UInt32

  init(_ volume: chost_volume) {
    type = UInt64(bitPattern: volume.type)
    blockCount = volume.blocks
    freeBlockCount = volume.free_blocks
    availableBlockCount = volume.available_blocks
    fileCount = volume.files
    freeFileCount = volume.free_files
    blockByteCount = volume.block_size
    fragmentByteCount = volume.fragment_size
    mostNameBytes = volume.name_length
  }
}
