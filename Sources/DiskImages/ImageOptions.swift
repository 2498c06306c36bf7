/// What a new image is to be like.
public struct ImageOptions: Hashable, Sendable {
  public enum Preallocation: String, Hashable, Sendable, CaseIterable {
    /// Space is taken as it is written to.
    case off
    /// A qcow2 image's tables are complete; data take no space yet.
    case metadata
    /// The host's file system sets the space aside.
    case falloc
    /// Zeroes are written everywhere.
    case full
  }

  public var format: ImageFormat
  /// The disk's size in bytes; `nil` for the backing file's.
  public var byteCount: UInt64?
  /// Of qcow2 images: 512 bytes to 2 MiB, a power of two.
  public var clusterByteCount: UInt64 = 65_536
  /// A name relative to the folder of the new image, or an absolute one.
  public var backingFile: String?
  /// `nil` to have it told by the first bytes, once.
  public var backingFormat: ImageFormat?
  /// Reference counts reach the file when the image is closed; after a crash they are computed anew.
  public var hasLazyRefcounts = false
  public var preallocation = Preallocation.off
  public var compression = ClusterCompression.zlib
  /// 1, 2, 4 … 64.
  public var refcountBits: UInt64 = 16
  /// 2, for what is older than QEMU 1.1, or 3.
  public var version: UInt32 = 3

  public init(format: ImageFormat, byteCount: UInt64? = nil) {
    self.format = format
    self.byteCount = byteCount
  }
}
