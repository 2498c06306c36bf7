import DeviceModel
import HostSystem

/// What is to be known of an image without reading its data.
public struct ImageInformation: Hashable, Sendable {
  public struct Snapshot: Hashable, Sendable {
    public var id: String
    public var name: String
    /// Since the Epoch.
    public var seconds: UInt64
    public var nanoseconds: UInt64
    public var guestNanoseconds: UInt64
    public var stateByteCount: UInt64
  }

  public struct Qcow2: Hashable, Sendable {
    /// 2 or 3.
    public var version: UInt32
    public var clusterByteCount: UInt64
    public var refcountBits: UInt64
    public var compression: ClusterCompression
    public var hasLazyRefcounts: Bool
    /// The image was not closed, or is in use: its reference counts are to be repaired.
    public var isDirty: Bool
    public var isCorrupt: Bool
    public var snapshots: [Snapshot]
  }

  public var path: String
  public var format: ImageFormat
  /// The disk's size in bytes.
  public var byteCount: UInt64
  /// What the file takes on the host's disk, in bytes.
  public var allocatedByteCount: UInt64
  /// As the image names it, and where that is.
  public var backingFile: String?
  public var fullBackingPath: String?
  public var backingFormat: String?
  public var qcow2: Qcow2?
}

extension DiskImage {
  public static func information(
    path: String, format: ImageFormat? = nil
  ) throws(DiskImageError) -> ImageInformation {
    let format = try known(format, path)
    let file = try DiskImageError.host(path) { () throws(HostError) in
      try ImageFile(path: path, isReadOnly: true)
    }
    defer { file.unlock() }
    var information = try DiskImageError.host(path) { () throws(HostError) in
      ImageInformation(
        path: path, format: format, byteCount: try file.byteCount() & ~511,
        allocatedByteCount: try file.allocatedByteCount())
    }
    guard format == .qcow2 else { return information }
    let header = try DiskImageError.at(path) { () throws(DiskImageProblem) in
      try Qcow2Header(reading: file)
    }
    let snapshots = try DiskImageError.block(path) { () throws(BlockError) in
      try SnapshotTable(reading: file, header: header)
    }
    information.byteCount = header.virtualByteCount
    information.backingFile = header.backingFile
    information.backingFormat = header.backingFormat
    information.fullBackingPath = try header.backingFile.map { (name) throws(DiskImageError) in
      try resolve(name, relativeTo: path)
    }
    information.qcow2 = ImageInformation.Qcow2(
      version: header.version, clusterByteCount: header.geometry.clusterByteCount,
      refcountBits: header.geometry.refcountBits, compression: header.compression,
      hasLazyRefcounts: header.hasLazyRefcounts, isDirty: header.incompatible.contains(.dirty),
      isCorrupt: header.incompatible.contains(.corrupt),
      snapshots: snapshots.snapshots.map { snapshot in
        ImageInformation.Snapshot(
          id: snapshot.id, name: snapshot.name, seconds: snapshot.date,
          nanoseconds: snapshot.nanoseconds, guestNanoseconds: snapshot.guestTime,
          stateByteCount: snapshot.vmStateByteCount)
      })
    return information
  }

  /// Checks an image's tables, and repairs what `repair` allows.
  ///
  /// - Throws: `invalid` for a raw image, which has none.
  public static func check(
    path: String, format: ImageFormat? = nil, repair: RepairMode? = nil
  ) throws(DiskImageError) -> CheckReport {
    guard try known(format, path) == .qcow2 else {
      throw DiskImageError(path: path, .invalid("a raw image has no tables that could be checked"))
    }
    let file = try DiskImageError.host(path) { () throws(HostError) in
      try ImageFile(path: path, isReadOnly: repair == nil)
    }
    defer { file.unlock() }
    let header = try DiskImageError.at(path) { () throws(DiskImageProblem) in
      try Qcow2Header(reading: file)
    }
    return try DiskImageError.block(path) { () throws(BlockError) in
      let check = Qcow2Check(file, header)
      guard let repair else { return try check.check() }
      return try check.repair(repair)
    }
  }
}
