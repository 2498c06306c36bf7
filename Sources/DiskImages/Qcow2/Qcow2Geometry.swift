/// Sizes and limits that follow from an image's cluster size and the width of its reference counts.
struct Qcow2Geometry: Hashable, Sendable {
  /// 9…21: clusters of 512 bytes to 2 MiB.
  let clusterBits: UInt32
  /// 0…6: reference counts of 1 to 64 bits.
  let refcountOrder: UInt32

  static let clusterBitsRange: ClosedRange<UInt32> = 9...21
  /// The largest L1 table, as QEMU has it: 32 MiB.
  static let mostLevel1Entries = (32 << 20) / 8
  /// The largest refcount table, as QEMU has it: 8 MiB.
  static let mostRefcountTableBytes: UInt64 = 8 << 20
  /// Host offsets have 56 bits.
  static let hostOffsetLimit: UInt64 = 1 << 56

  var clusterByteCount: UInt64 { 1 << UInt64(clusterBits) }
  /// Entries of an L2 table, and words of any cluster.
  var wordsPerCluster: UInt64 { clusterByteCount / 8 }
  /// Guest bytes that one L2 table describes.
  var level2Span: UInt64 { wordsPerCluster << UInt64(clusterBits) }
  /// Clusters whose counts a refcount block holds.
  var countsPerBlock: UInt64 { (clusterByteCount * 8) >> UInt64(refcountOrder) }
  var refcountBits: UInt64 { 1 << UInt64(refcountOrder) }
  /// The largest reference count that an entry holds.
  var largestRefcount: UInt64 { refcountBits == 64 ? .max : (1 << refcountBits) - 1 }

  func cluster(of offset: UInt64) -> UInt64 { offset >> UInt64(clusterBits) }
  /// - Parameter cluster: below 2^56 by the cluster size.
  func offset(of cluster: UInt64) -> UInt64 { cluster << UInt64(clusterBits) }
  func isAligned(_ offset: UInt64) -> Bool { offset & (clusterByteCount - 1) == 0 }
  func clusters(for byteCount: UInt64) -> UInt64 {
    byteCount / clusterByteCount + (byteCount % clusterByteCount == 0 ? 0 : 1)
  }
  /// L1 entries that a disk of this size needs.
  func level1Entries(for byteCount: UInt64) -> UInt64 {
    byteCount / level2Span + (byteCount % level2Span == 0 ? 0 : 1)
  }

  /// Where count `index` of a block lies: which word, and how far it is to be shifted down. Counts of less than
  /// a byte fill bytes from the least significant bit on.
  func place(ofCount index: UInt64) -> (word: UInt64, shift: UInt64) {
    let bits = refcountBits
    let perWord = 64 / bits
    let (word, slot) = index.quotientAndRemainder(dividingBy: perWord)
    guard bits < 8 else { return (word, 64 - bits * (slot + 1)) }
    let perByte = 8 / bits
    return (word, 56 - 8 * (slot / perByte) + slot % perByte * bits)
  }
}

/// Host clusters that follow one another.
struct ClusterRun: Hashable, Sendable {
  var start: UInt64
  var count: UInt64

  var end: UInt64 { start + count }
}
