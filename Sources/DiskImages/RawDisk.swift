import DeviceModel
import HostSystem

/// A raw image whose requests are carried out where they are made: as a backing file, and for tools.
final class RawDisk: SynchronousDisk {
  private let storage: any ImageStorage
  let byteCount: UInt64
  var isReadOnly: Bool { storage.isReadOnly }
  let canDiscard = true
  let preferredByteCount: UInt32 = 4096

  init(_ storage: any ImageStorage) throws(HostError) {
    self.storage = storage
    byteCount = try storage.byteCount() & ~511
  }

  func perform(_ request: BlockRequest) throws(BlockError) {
    if let (offset, count) = request.range {
      guard offset <= byteCount, count <= byteCount - offset else { throw .outOfRange }
      if request.isModification && isReadOnly { throw .readOnly }
    }
    try storage.attempt { (storage) throws(HostError) in
      switch request {
      case .read(let offset, let buffer): try storage.read(into: buffer, at: offset)
      case .write(let offset, let buffer, let isDurable):
        try storage.write(from: buffer, at: offset)
        if isDurable { try storage.flush() }
      case .flush: if !isReadOnly { try storage.flush() }
      case .discard(let offset, let count):
        // Advice: a file system that cannot keeps the blocks.
        try? storage.punchHole(at: offset, byteCount: count)
      case .writeZeroes(let offset, let count, let mayUnmap):
        if mayUnmap, (try? storage.punchHole(at: offset, byteCount: count)) != nil { return }
        try storage.writeZeroes(at: offset, byteCount: count)
      }
    }
  }

  func nextData(from offset: UInt64) throws(BlockError) -> UInt64? {
    guard offset < byteCount else { return nil }
    // A file system or device that cannot tell has data everywhere.
    guard let next = try? storage.nextData(from: offset) else {
      return (try? storage.isRegularFile()) == true && (try? storage.nextData(from: 0)) != nil
        ? nil : offset
    }
    return next < byteCount ? next : nil
  }

  /// Changes the file's size; afterwards the image is to be opened again.
  func resize(to byteCount: UInt64) throws(BlockError) {
    guard try isFile() else { throw .unsupported }
    try storage.attempt { (storage) throws(HostError) in try storage.resize(to: byteCount) }
  }

  private func isFile() throws(BlockError) -> Bool {
    var isFile = false
    try storage.attempt { (storage) throws(HostError) in isFile = try storage.isRegularFile() }
    return isFile
  }

  func close() throws(BlockError) {
    defer { storage.unlock() }
    if !isReadOnly { try storage.barrier() }
  }
}
