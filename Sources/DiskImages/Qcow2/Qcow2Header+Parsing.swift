extension Qcow2Header {
  /// Reads a header.
  ///
  /// - Parameters:
  ///   - bytes: the image's first cluster, or as much as is there: 512 bytes at least tell the cluster's size.
  ///   - fileByteCount: tables must begin within the file.
  init(parsing bytes: [UInt8], fileByteCount: UInt64) throws(DiskImageProblem) {
    func field(_ offset: Int, _ count: Int) throws(DiskImageProblem) -> UInt64 {
      guard let value = bytes.bigEndian(at: offset, count: count) else {
        throw .damaged("the header is cut off", imageOffset: UInt64(bytes.count))
      }
      return value
    }
    guard bytes.starts(with: Self.magic) else { throw .otherFormat(expected: .qcow2) }
    version = UInt32(try field(4, 4))
    guard 2...3 ~= version else { throw .unsupported("qcow2 version \(version)") }
    clusterBits = UInt32(try field(20, 4))
    guard Qcow2Geometry.clusterBitsRange.contains(clusterBits) else {
      throw .damaged("clusters of 2^\(clusterBits) bytes", imageOffset: 20)
    }
    virtualByteCount = try field(24, 8)
    let encryption = try field(32, 4)
    guard encryption == 0 else {
      throw .unsupported(
        encryption == 1
          ? "AES encryption"
          : encryption == 2
            ? "LUKS encryption" : "encryption method \(encryption)")
    }
    level1Size = UInt32(try field(36, 4))
    level1Offset = try field(40, 8)
    refcountTableOffset = try field(48, 8)
    refcountTableClusters = UInt32(try field(56, 4))
    snapshotCount = UInt32(try field(60, 4))
    snapshotsOffset = try field(64, 8)

    var length: UInt64 = 72
    incompatible = []
    compatible = []
    autoclear = []
    refcountOrder = 4
    compression = .zlib
    if version >= 3 {
      incompatible = Incompatible(rawValue: try field(72, 8))
      compatible = Compatible(rawValue: try field(80, 8))
      autoclear = Autoclear(rawValue: try field(88, 8))
      refcountOrder = UInt32(try field(96, 4))
      length = try field(100, 4)
      guard length >= 104, length % 8 == 0, length <= 1 << UInt64(clusterBits) else {
        throw .damaged("a header of \(length) bytes", imageOffset: 100)
      }
      guard refcountOrder <= 6 else {
        throw .damaged("reference counts of 2^\(refcountOrder) bits", imageOffset: 96)
      }
    }
    try readExtensions(bytes, from: Int(length))
    try checkFeatures(bytes, extensionsAt: Int(length))
    let compressionType = length > 104 ? try field(104, 1) : 0
    guard incompatible.contains(.compressionType) == (compressionType != 0) else {
      throw .damaged("a compression type that its feature bit contradicts", imageOffset: 104)
    }
    guard let compression = ClusterCompression(rawValue: UInt8(compressionType)) else {
      throw .unsupported("compression type \(compressionType)")
    }
    self.compression = compression
    try readBackingFile(bytes, offset: try field(8, 8), count: try field(16, 4))
    try checkTables(fileByteCount)
  }

  private mutating func readExtensions(
    _ bytes: [UInt8], from start: Int
  ) throws(DiskImageProblem) {
    backingFormat = nil
    bitmaps = nil
    try Self.forEachExtension(bytes, from: start) { (type, data, place) throws(DiskImageProblem) in
      switch type {
      case ExtensionType.backingFormat:
        backingFormat = String(decoding: data.prefix(64), as: UTF8.self)
      case ExtensionType.bitmaps:
        guard data.count >= 24 else {
          throw .damaged("a bitmaps extension of \(data.count) bytes", imageOffset: UInt64(place))
        }
        bitmaps = BitmapsExtension(
          count: UInt32(data.bigEndian(at: 0, count: 4) ?? 0),
          directoryByteCount: data.bigEndian(at: 8, count: 8) ?? 0,
          directoryOffset: data.bigEndian(at: 16, count: 8) ?? 0)
      default: break
      }
    }
  }

  /// Visits the header extensions up to the end mark, or to the end of the first cluster.
  private static func forEachExtension(
    _ bytes: [UInt8], from start: Int,
    _ body: (UInt64, [UInt8], Int) throws(DiskImageProblem) -> Void
  ) throws(DiskImageProblem) {
    var place = start
    // Each takes 8 bytes at least, so this ends.
    while let type = bytes.bigEndian(at: place, count: 4),
      let count = bytes.bigEndian(at: place + 4, count: 4), type != ExtensionType.end
    {
      let data = place + 8
      guard count <= UInt64(bytes.count - data) else {
        throw .damaged("a header extension that does not fit", imageOffset: UInt64(place))
      }
      try body(type, Array(bytes[data..<data + Int(count)]), place)
      place = data + (Int(count) + 7) & ~7
    }
  }

  private func checkFeatures(
    _ bytes: [UInt8], extensionsAt start: Int
  ) throws(DiskImageProblem) {
    if incompatible.contains(.externalDataFile) { throw .unsupported("an external data file") }
    if incompatible.contains(.extendedLevel2) { throw .unsupported("extended L2 entries") }
    let unknown = incompatible.subtracting(.understood).rawValue
    guard unknown != 0 else { return }
    var names: [UInt64: String] = [:]
    try? Self.forEachExtension(bytes, from: start) { (type, data, _) throws(DiskImageProblem) in
      guard type == ExtensionType.featureNames else { return }
      for entry in stride(from: 0, to: data.count / 48 * 48, by: 48) where data[entry] == 0 {
        let name = data[entry + 2..<entry + 48].prefix { (0x20...0x7E).contains($0) }
        names[UInt64(data[entry + 1])] = String(decoding: name, as: UTF8.self)
      }
    }
    let features = (UInt64(0)..<64).filter { unknown >> $0 & 1 != 0 }.map { bit in
      names[bit].map { "\"\($0)\"" } ?? "number \(bit)"
    }
    throw .unsupported("the incompatible feature \(features.joined(separator: ", "))")
  }

  private mutating func readBackingFile(
    _ bytes: [UInt8], offset: UInt64, count: UInt64
  ) throws(DiskImageProblem) {
    backingFile = nil
    guard offset != 0 else { return }
    guard count > 0, count <= Self.longestBackingName, offset <= 1 << UInt64(clusterBits),
      offset + count <= UInt64(bytes.count)
    else { throw .damaged("a backing file's name that does not fit", imageOffset: 8) }
    let name = bytes[Int(offset)..<Int(offset + count)]
    guard !name.contains(0), let text = String(validating: name, as: UTF8.self) else {
      throw .damaged("a backing file's name that is no text", imageOffset: offset)
    }
    backingFile = text
  }

  /// Tables are aligned, no larger than they may be, and within the file.
  private func checkTables(_ fileByteCount: UInt64) throws(DiskImageProblem) {
    let geometry = geometry
    func check(
      _ what: String, _ offset: UInt64, _ count: UInt64, field: UInt64
    ) throws(DiskImageProblem) {
      guard geometry.isAligned(offset), offset >= geometry.clusterByteCount,
        offset < Qcow2Geometry.hostOffsetLimit, offset <= fileByteCount,
        count <= fileByteCount - offset
      else { throw .damaged("\(what) at \(offset)", imageOffset: field) }
    }
    let needed = geometry.level1Entries(for: virtualByteCount)
    guard virtualByteCount <= Int64.max, needed <= Qcow2Geometry.mostLevel1Entries,
      needed <= level1Size, level1Size <= Qcow2Geometry.mostLevel1Entries
    else {
      throw .damaged(
        "a disk of \(virtualByteCount) bytes with \(level1Size) L1 entries", imageOffset: 24)
    }
    if level1Size > 0 {
      try check("an L1 table", level1Offset, UInt64(level1Size) * 8, field: 40)
    }
    let tableByteCount = UInt64(refcountTableClusters) << UInt64(clusterBits)
    guard tableByteCount > 0, tableByteCount <= Qcow2Geometry.mostRefcountTableBytes else {
      throw .damaged("a refcount table of \(tableByteCount) bytes", imageOffset: 56)
    }
    // Its last cluster may be cut off with the file.
    try check("a refcount table", refcountTableOffset, 8, field: 48)
    guard snapshotCount <= SnapshotTable.mostSnapshots else {
      throw .damaged("\(snapshotCount) snapshots", imageOffset: 60)
    }
    if snapshotCount > 0 {
      try check("a snapshot table", snapshotsOffset, UInt64(snapshotCount) * 40, field: 64)
    }
  }
}
