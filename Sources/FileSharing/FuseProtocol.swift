// The numbers of Linux's include/uapi/linux/fuse.h, protocol 7.31 to 7.38.

/// What a request asks for (`enum fuse_opcode`). Others are answered with ENOSYS, and the guest's kernel does them by
/// itself from then on or goes without: FLUSH (nothing is kept back here), ACCESS, locks, ioctl and poll.
enum FuseOperation: UInt32, CaseIterable {
  case lookup = 1
  case forget = 2
  case getAttributes = 3
  case setAttributes = 4
  case readLink = 5
  case symbolicLink = 6
  case makeNode = 8
  case makeDirectory = 9
  case unlink = 10
  case removeDirectory = 11
  case rename = 12
  case link = 13
  case open = 14
  case read = 15
  case write = 16
  case statFileSystem = 17
  case release = 18
  case synchronize = 20
  case setExtendedAttribute = 21
  case getExtendedAttribute = 22
  case listExtendedAttributes = 23
  case removeExtendedAttribute = 24
  case initialize = 26
  case openDirectory = 27
  case readDirectory = 28
  case releaseDirectory = 29
  case synchronizeDirectory = 30
  case create = 35
  case interrupt = 36
  case destroy = 38
  case batchForget = 42
  case allocate = 43
  case readDirectoryPlus = 44
  case rename2 = 45
  case seek = 46
  case copyFileRange = 47
  case synchronizeFileSystem = 50
}

/// The version that this server speaks, and its limits.
enum FuseVersion {
  static let major: UInt32 = 7
  /// Linux 5.4, the first with virtio-fs.
  static let leastMinor: UInt32 = 31
  static let mostMinor: UInt32 = 38
}

/// Flags of the INIT message (FUSE_ASYNC_READ and so on).
struct FuseFeatures: OptionSet {
  var rawValue: UInt32

  static let asynchronousRead = FuseFeatures(rawValue: 1 << 0)
  /// OPEN empties the file by itself.
  static let atomicTruncate = FuseFeatures(rawValue: 1 << 3)
  static let bigWrites = FuseFeatures(rawValue: 1 << 5)
  /// The guest drops what it cached of a file whose time or size has changed.
  static let automaticInvalidation = FuseFeatures(rawValue: 1 << 12)
  static let readDirectoryPlus = FuseFeatures(rawValue: 1 << 13)
  static let readDirectoryPlusAdaptive = FuseFeatures(rawValue: 1 << 14)
  static let asynchronousDirect = FuseFeatures(rawValue: 1 << 15)
  static let parallelDirectoryOperations = FuseFeatures(rawValue: 1 << 18)
  static let mostPages = FuseFeatures(rawValue: 1 << 22)
  static let cacheLinks = FuseFeatures(rawValue: 1 << 23)
  /// The server clears set-user-ID and set-group-ID bits when a request says so.
  static let clearsPrivileges = FuseFeatures(rawValue: 1 << 28)

  static let supported: FuseFeatures = [
    .asynchronousRead, .atomicTruncate, .bigWrites, .automaticInvalidation, .readDirectoryPlus,
    .readDirectoryPlusAdaptive, .asynchronousDirect, .parallelDirectoryOperations, .mostPages,
    .cacheLinks, .clearsPrivileges,
  ]
}

/// What SETATTR changes (FATTR_MODE and so on).
struct FuseChanges: OptionSet {
  var rawValue: UInt32

  static let mode = FuseChanges(rawValue: 1 << 0)
  static let user = FuseChanges(rawValue: 1 << 1)
  static let group = FuseChanges(rawValue: 1 << 2)
  static let size = FuseChanges(rawValue: 1 << 3)
  static let accessed = FuseChanges(rawValue: 1 << 4)
  static let modified = FuseChanges(rawValue: 1 << 5)
  static let handle = FuseChanges(rawValue: 1 << 6)
  static let accessedNow = FuseChanges(rawValue: 1 << 7)
  static let modifiedNow = FuseChanges(rawValue: 1 << 8)
  static let clearsPrivileges = FuseChanges(rawValue: 1 << 11)
}

/// Flags of single messages.
enum FuseFlag {
  /// FUSE_GETATTR_FH: the handle is valid.
  static let attributesOfHandle: UInt32 = 1 << 0
  /// FUSE_OPEN_KILL_SUIDGID
  static let openClearsPrivileges: UInt32 = 1 << 0
  /// FUSE_WRITE_CACHE: from the guest's page cache.
  static let writeFromCache: UInt32 = 1 << 0
  /// FUSE_WRITE_KILL_SUIDGID
  static let writeClearsPrivileges: UInt32 = 1 << 2
  /// FUSE_FSYNC_FDATASYNC
  static let dataOnly: UInt32 = 1 << 0
}

/// Linux's flags of open(2) on x86.
enum OpenFlag {
  static let accessMode: UInt32 = 0o3
  static let truncate: UInt32 = 0o1000
  static let exclusive: UInt32 = 0o200
  static let append: UInt32 = 0o2000
  static let dataSynchronous: UInt32 = 0o10000
  static let synchronous: UInt32 = 0o4010000
}
