extension Qcow2Header {
  /// The header with its extensions and the backing file's name, as the file begins.
  func encoded() -> [UInt8] {
    let length: UInt64 = version == 2 ? 72 : 112
    var extensions: [UInt8] = []
    if let backingFormat {
      extensions.append(bigEndian: ExtensionType.backingFormat, count: 4)
      extensions.append(bigEndian: UInt64(backingFormat.utf8.count), count: 4)
      extensions += Array(backingFormat.utf8)
      extensions.pad(toMultipleOf: 8)
    }
    extensions.append(bigEndian: ExtensionType.end, count: 8)
    let name = Array((backingFile ?? "").utf8)
    let nameOffset = backingFile == nil ? 0 : length + UInt64(extensions.count)

    var bytes = Self.magic
    let fields: [(value: UInt64, count: Int)] = [
      (UInt64(version), 4), (nameOffset, 8), (UInt64(name.count), 4), (UInt64(clusterBits), 4),
      (virtualByteCount, 8), (0, 4), (UInt64(level1Size), 4), (level1Offset, 8),
      (refcountTableOffset, 8), (UInt64(refcountTableClusters), 4), (UInt64(snapshotCount), 4),
      (snapshotsOffset, 8),
    ]
    for field in fields { bytes.append(bigEndian: field.value, count: field.count) }
    if version >= 3 {
      bytes.append(bigEndian: incompatible.rawValue, count: 8)
      bytes.append(bigEndian: compatible.rawValue, count: 8)
      bytes.append(bigEndian: autoclear.rawValue, count: 8)
      bytes.append(bigEndian: UInt64(refcountOrder), count: 4)
      bytes.append(bigEndian: length, count: 4)
      bytes.append(bigEndian: UInt64(compression.rawValue), count: 1)
      bytes.pad(toMultipleOf: 8)
    }
    return bytes + extensions + name
  }
}
