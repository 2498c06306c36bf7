private import CHost
private import Glibc

/// A file or block device that holds a disk image: transfers at offsets, and a lock.
public final class ImageFile: Sendable {
  let file: Int32
  public let isReadOnly: Bool

  /// Opens the file and locks it: shared for reading, exclusively for writing. The lock is an open file
  /// description lock, which goes away with the process.
  ///
  /// - Throws: `EAGAIN` or `EACCES` from `fcntl` where another process has the file open in a way that
  ///   excludes this one.
  public init(path: String, isReadOnly: Bool) throws(HostError) {
    self.isReadOnly = isReadOnly
    let file = unsafe open(path, (isReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC)
    guard file >= 0 else { throw .current("open") }
    self.file = file
    var status = stat()
    guard unsafe fstat(file, &status) == 0 else { throw .current("fstat") }
    let kind = status.st_mode & S_IFMT
    guard kind == S_IFREG || kind == S_IFBLK else {
      throw HostError(call: "open", errno: kind == S_IFDIR ? EISDIR : EINVAL)
    }
    guard chost_lock_file(file, isReadOnly ? 0 : 1) == 0 else { throw .current("fcntl") }
  }

  /// Makes a new file for writing, and locks it.
  ///
  /// - Throws: `EEXIST` if there is one of this name.
  public init(creating path: String) throws(HostError) {
    isReadOnly = false
    file = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw .current("open") }
    guard chost_lock_file(file, 1) == 0 else { throw .current("fcntl") }
  }

  /// Makes a file without a name, which goes away with this object.
  public init(temporaryIn directory: String) throws(HostError) {
    isReadOnly = false
    file = unsafe chost_open_temporary(directory)
    guard file >= 0 else { throw .current("open") }
  }

  deinit { close(file) }

  /// Lets others have the file, before this object goes away.
  public func unlock() { _ = chost_lock_file(file, -1) }

  /// The file's or device's size in bytes.
  public func byteCount() throws(HostError) -> UInt64 {
    let end = lseek(file, 0, SEEK_END)
    guard end >= 0 else { throw .current("lseek") }
    return UInt64(end)
  }

  /// Fills the buffer from `offset` on; what lies beyond the end of the file reads as zeroes.
  public func read(into buffer: MemorySegments, at offset: UInt64) throws(HostError) {
    let file = file
    let done = try unsafe transfer(buffer, "preadv", at: offset) {
      unsafe preadv(file, $0, $1, $2)
    }
    buffer.clear(from: done, count: buffer.byteCount - done)
  }

  /// Writes the whole buffer.
  public func write(from buffer: MemorySegments, at offset: UInt64) throws(HostError) {
    let file = file
    let done = try unsafe transfer(buffer, "pwritev", at: offset) {
      unsafe pwritev(file, $0, $1, $2)
    }
    guard done == buffer.byteCount else { throw HostError(call: "pwritev", errno: EIO) }
  }

  /// Has a system call move the buffer, as often as it takes; returns how many bytes it moved before there were
  /// no more.
  private func transfer(
    _ buffer: MemorySegments, _ name: String, at offset: UInt64,
    _ move: (UnsafePointer<iovec>?, Int32, off_t) -> Int
  ) throws(HostError) -> Int {
    var done = 0
    while done < buffer.byteCount {
      let rest = buffer.slice(from: done, count: buffer.byteCount - done)
      let position = off_t(offset) + off_t(done)
      let count = unsafe rest.vectors.withUnsafeBufferPointer {
        // SAFETY: the runs live as long as `rest`. More than IOV_MAX of them are refused.
        unsafe move($0.baseAddress, Int32(min($0.count, 1024)), position)
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw .current(name)
      }
      if count == 0 { break }
      done += count
    }
    return done
  }

  /// Whether the host begins writes to the file without waiting (RWF_NOWAIT), found out by writing the buffer.
  public func writeProbing(from buffer: MemorySegments, at offset: UInt64) throws(HostError) -> Bool
  {
    let count = unsafe buffer.vectors.withUnsafeBufferPointer {
      // SAFETY: as in `transfer`.
      unsafe chost_write_without_waiting(
        file, $0.baseAddress, Int32(min($0.count, 1024)), Int64(offset))
    }
    let canStart = count >= 0 || errno == EAGAIN
    let done = max(0, count)
    try write(
      from: buffer.slice(from: done, count: buffer.byteCount - done), at: offset + UInt64(done))
    return canStart
  }

  /// Makes what was written durable.
  public func flush() throws(HostError) {
    guard fdatasync(file) == 0 else { throw .current("fdatasync") }
  }

  /// Makes the range read as zeroes and keeps its space.
  ///
  /// - Throws: `EOPNOTSUPP` where the file system cannot.
  public func zeroRange(at offset: UInt64, byteCount: UInt64) throws(HostError) {
    guard chost_zero_range(file, Int64(offset), Int64(byteCount)) == 0 else {
      throw .current("fallocate")
    }
  }

  /// Gives the range's space back; it reads as zeroes afterwards.
  ///
  /// - Throws: `EOPNOTSUPP` where the file system cannot.
  public func punchHole(at offset: UInt64, byteCount: UInt64) throws(HostError) {
    guard chost_punch_hole(file, Int64(offset), Int64(byteCount)) == 0 else {
      throw .current("fallocate")
    }
  }
}
