private import CHost
private import Glibc

/// What tells whether two paths lead to one file.
public struct FileIdentity: Hashable, Sendable {
  private let device: UInt64
  private let node: UInt64

  /// - Throws: if there is no such file.
  public init(path: String) throws(HostError) {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { throw .current("stat") }
    device = UInt64(status.st_dev)
    node = UInt64(status.st_ino)
  }
}

extension ImageFile {
  /// A file that grows when something is written beyond its end, as no block device does.
  public func isRegularFile() throws(HostError) -> Bool {
    try status().st_mode & S_IFMT == S_IFREG
  }

  /// The bytes that the file takes on the host's disk.
  public func allocatedByteCount() throws(HostError) -> UInt64 {
    UInt64(try status().st_blocks) * 512
  }

  /// Removes a file of this name.
  public static func remove(path: String) throws(HostError) {
    guard unsafe unlink(path) == 0 else { throw .current("unlink") }
  }

  private func status() throws(HostError) -> stat {
    var status = stat()
    guard unsafe fstat(file, &status) == 0 else { throw .current("fstat") }
    return status
  }

  /// Cuts the file off, or has it end in zeroes that take no space.
  public func resize(to byteCount: UInt64) throws(HostError) {
    guard let length = off_t(exactly: byteCount) else {
      throw HostError(call: "ftruncate", errno: EFBIG)
    }
    guard ftruncate(file, length) == 0 else { throw .current("ftruncate") }
  }

  /// Has the host's file system set space aside for the range.
  public func reserve(at offset: UInt64, byteCount: UInt64) throws(HostError) {
    guard let start = off_t(exactly: offset), let count = off_t(exactly: byteCount) else {
      throw HostError(call: "fallocate", errno: EFBIG)
    }
    guard chost_reserve(file, Int64(start), Int64(count)) == 0 else { throw .current("fallocate") }
  }

  /// Where data begin at or after `offset`: what lies before reads as zeroes. `nil` if no data follow.
  public func nextData(from offset: UInt64) throws(HostError) -> UInt64? {
    try seek(to: offset, forData: true)
  }

  /// Where a hole begins at or after `offset`, be it the one that the file ends with.
  public func nextHole(from offset: UInt64) throws(HostError) -> UInt64? {
    try seek(to: offset, forData: false)
  }

  private func seek(to offset: UInt64, forData: Bool) throws(HostError) -> UInt64? {
    guard let start = Int64(exactly: offset) else { return nil }
    let result = chost_seek(file, start, forData ? 1 : 0)
    if result >= 0 { return UInt64(result) }
    guard errno == ENXIO else { throw .current("lseek") }
    return nil
  }
}
