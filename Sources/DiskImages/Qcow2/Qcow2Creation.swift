import DeviceModel
import HostSystem

/// Lays out a new qcow2 image: header, refcount table, refcount blocks and L1 table, one after the other.
struct Qcow2Creation {
  private var header: Qcow2Header
  private let geometry: Qcow2Geometry
  private let blockCount: UInt64
  private let clusterCount: UInt64

  /// - Throws: `invalid` for options that no image can have.
  init(_ options: ImageOptions, byteCount: UInt64) throws(DiskImageProblem) {
    let size = options.clusterByteCount
    guard size.nonzeroBitCount == 1,
      Qcow2Geometry.clusterBitsRange.contains(UInt32(size.trailingZeroBitCount))
    else {
      throw .invalid("clusters of \(size) bytes: choose a power of two from 512 to 2M")
    }
    let bits = options.refcountBits
    guard bits.nonzeroBitCount == 1, bits <= 64, options.version == 3 || bits == 16 else {
      throw .invalid(
        "reference counts of \(bits) bits: choose 1, 2, 4, 8, 16, 32 or 64, and 16 in version 2")
    }
    guard options.version == 3 || (!options.hasLazyRefcounts && options.compression == .zlib) else {
      throw .invalid("lazy reference counts and zstd need version 3")
    }
    geometry = Qcow2Geometry(
      clusterBits: UInt32(size.trailingZeroBitCount),
      refcountOrder: UInt32(bits.trailingZeroBitCount))
    let level1 = geometry.level1Entries(for: byteCount)
    guard byteCount <= Int64.max, level1 <= Qcow2Geometry.mostLevel1Entries else {
      throw .invalid(
        "a disk of \(byteCount) bytes is too large for clusters of \(size) bytes: choose larger ones"
      )
    }
    // One cluster of refcount table is enough for what is there at first, but for the smallest clusters.
    let level1Clusters = geometry.clusters(for: level1 * 8)
    var tableClusters: UInt64 = 1
    var blocks: UInt64 = 1
    while true {
      let clusters = 1 + tableClusters + blocks + level1Clusters
      let needed = (clusters + geometry.countsPerBlock - 1) / geometry.countsPerBlock
      let table = geometry.clusters(for: needed * 8)
      if needed <= blocks && table <= tableClusters { break }
      blocks = max(blocks, needed)
      tableClusters = max(tableClusters, table)
    }
    blockCount = blocks
    clusterCount = 1 + tableClusters + blocks + level1Clusters
    header = Qcow2Header(
      version: options.version, clusterBits: geometry.clusterBits, virtualByteCount: byteCount,
      level1Size: UInt32(level1), level1Offset: geometry.offset(of: 1 + tableClusters + blocks),
      refcountTableOffset: geometry.offset(of: 1), refcountTableClusters: UInt32(tableClusters),
      snapshotCount: 0, snapshotsOffset: 0,
      incompatible: options.compression == .zlib ? [] : .compressionType,
      compatible: options.hasLazyRefcounts ? .lazyRefcounts : [], autoclear: [],
      refcountOrder: geometry.refcountOrder, compression: options.compression,
      backingFile: options.backingFile, backingFormat: options.backingFormat?.rawValue,
      bitmaps: nil)
    guard (options.backingFile ?? "").utf8.count <= Qcow2Header.longestBackingName,
      header.encoded().count <= size
    else { throw .invalid("the backing file's name is too long") }
  }

  /// Writes the image to an empty file. The header comes last: before, it is no image.
  func write(to storage: any ImageStorage) throws(BlockError) {
    try storage.attempt { (storage) throws(HostError) in
      try storage.resize(to: geometry.offset(of: clusterCount))
    }
    let firstBlock = 1 + UInt64(header.refcountTableClusters)
    try storage.write(
      words: (0..<blockCount).map { geometry.offset(of: firstBlock + $0) },
      at: header.refcountTableOffset)
    for block in 0..<blockCount {
      var words = [UInt64](repeating: 0, count: Int(geometry.wordsPerCluster))
      let first = block * geometry.countsPerBlock
      for index in 0..<min(geometry.countsPerBlock, max(first, clusterCount) - first) {
        let (word, shift) = geometry.place(ofCount: index)
        words[Int(word)] |= 1 << shift
      }
      try storage.write(words: words, at: geometry.offset(of: firstBlock + block))
    }
    try storage.barrier()
    let bytes = header.encoded()
    let buffer = MemorySegments(zeroed: bytes.count)
    buffer.write(bytes)
    try storage.attempt { (storage) throws(HostError) in try storage.write(from: buffer, at: 0) }
    try storage.barrier()
  }
}
