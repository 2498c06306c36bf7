/// The header of a qcow2 image (QEMU's docs/interop/qcow2.txt, "Header"), versions 2 and 3.
struct Qcow2Header: Hashable, Sendable {
  var version: UInt32
  var clusterBits: UInt32
  /// The disk's size in bytes.
  var virtualByteCount: UInt64
  var level1Size: UInt32
  var level1Offset: UInt64
  var refcountTableOffset: UInt64
  var refcountTableClusters: UInt32
  var snapshotCount: UInt32
  var snapshotsOffset: UInt64
  var incompatible: Incompatible
  var compatible: Compatible
  var autoclear: Autoclear
  var refcountOrder: UInt32
  var compression: ClusterCompression
  var backingFile: String?
  var backingFormat: String?
  /// The bitmaps extension, as it is in the file.
  var bitmaps: BitmapsExtension?

  struct Incompatible: OptionSet, Hashable, Sendable {
    let rawValue: UInt64
    /// Reference counts may be wrong: they are to be computed anew before the image is written.
    static let dirty = Self(rawValue: 1 << 0)
    static let corrupt = Self(rawValue: 1 << 1)
    static let externalDataFile = Self(rawValue: 1 << 2)
    static let compressionType = Self(rawValue: 1 << 3)
    static let extendedLevel2 = Self(rawValue: 1 << 4)
    static let understood: Self = [.dirty, .corrupt, .compressionType]
  }

  struct Compatible: OptionSet, Hashable, Sendable {
    let rawValue: UInt64
    static let lazyRefcounts = Self(rawValue: 1 << 0)
  }

  struct Autoclear: OptionSet, Hashable, Sendable {
    let rawValue: UInt64
    static let bitmaps = Self(rawValue: 1 << 0)
  }

  struct BitmapsExtension: Hashable, Sendable {
    var count: UInt32
    var directoryByteCount: UInt64
    var directoryOffset: UInt64
  }

  var geometry: Qcow2Geometry {
    Qcow2Geometry(clusterBits: clusterBits, refcountOrder: refcountOrder)
  }
  var hasLazyRefcounts: Bool { version >= 3 && compatible.contains(.lazyRefcounts) }

  static let magic: [UInt8] = [0x51, 0x46, 0x49, 0xFB]
  static let longestBackingName = 1023

  /// Where fields lie that change while an image is in use.
  enum Field {
    static let virtualByteCount: UInt64 = 24
    static let level1Size: UInt64 = 36
    static let refcountTableOffset: UInt64 = 48
    static let snapshotCount: UInt64 = 60
    static let incompatible: UInt64 = 72
    static let compatible: UInt64 = 80
    static let autoclear: UInt64 = 88
  }

  enum ExtensionType {
    static let end: UInt64 = 0
    static let backingFormat: UInt64 = 0xE279_2ACA
    static let featureNames: UInt64 = 0x6803_F857
    static let bitmaps: UInt64 = 0x2385_2875
    static let encryption: UInt64 = 0x0537_BE77
    static let externalDataFile: UInt64 = 0x4441_5441
  }
}

/// How an image's compressed clusters are compressed.
public enum ClusterCompression: UInt8, Hashable, Sendable, CaseIterable {
  /// Raw deflate data.
  case zlib = 0
  case zstd = 1
}
