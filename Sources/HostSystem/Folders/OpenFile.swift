private import CHost
private import Glibc

/// A regular file or a directory that is open.
public final class OpenFile: Sendable {
  public enum Access: Hashable, Sendable {
    case read, write, readWrite

    public var isReading: Bool { self != .write }
    public var isWriting: Bool { self != .read }
  }

  /// How a file is opened.
  public struct Mode: Hashable, Sendable {
    public var access: Access
    public var truncates = false
    /// O_SYNC; without it O_DSYNC if `isDataSynchronous`.
    public var isSynchronous = false
    public var isDataSynchronous = false

    public init(_ access: Access) { self.access = access }

    var flags: Int32 {
      var flags =
        switch access {
        case .read: chost_open_read
        case .write: chost_open_write
        case .readWrite: chost_open_read_write
        }
      if truncates { flags |= chost_open_truncate }
      if isSynchronous { flags |= chost_open_synchronous }
      if isDataSynchronous { flags |= chost_open_data_synchronous }
      return Int32(flags)
    }
  }

  private let descriptor: Int32
  public let isDirectory: Bool
  /// A directory's position belongs to one at a time.
  private let position = Monitor(())

  init(owning descriptor: Int32, isDirectory: Bool) {
    self.descriptor = descriptor
    self.isDirectory = isDirectory
  }

  deinit { close(descriptor) }

  public func status() throws(HostError) -> FileStatus {
    var status = chost_status()
    // SAFETY: the name is ended by a NUL and `status` is exclusively ours.
    guard unsafe chost_folder_status(descriptor, "", &status) == 0 else { throw .current("statx") }
    return FileStatus(status)
  }

  /// What this is, found but not opened.
  public func node() throws(HostError) -> FileNode {
    let node = chost_folder_locate_open(descriptor)
    guard node >= 0 else { throw .current("open") }
    return try FileNode(owning: node)
  }

  // MARK: Contents

  /// Up to `count` bytes from `offset` on, fewer at the end of the file; `prefix` comes first.
  public func read(
    _ count: Int, at offset: UInt64, after prefix: [UInt8] = []
  ) throws(HostError) -> [UInt8] {
    let start = try Self.position(offset)
    var done = 0
    var failure: HostError?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: prefix.count + max(0, count)) {
      buffer, initialized in
      // SAFETY: the buffer has room for both; of the rest `done` bytes get initialized.
      for index in prefix.indices { unsafe buffer[index] = prefix[index] }
      while done < count, let base = buffer.baseAddress {
        let place = unsafe base + prefix.count + done
        let result = unsafe pread(descriptor, place, count - done, start &+ done)
        if result > 0 {
          done += result
        } else if result == 0 {
          break
        } else if errno != EINTR {
          if done == 0 { failure = .current("pread") }
          break
        }
      }
      initialized = prefix.count + done
    }
    if let failure { throw failure }
    return bytes
  }

  /// Writes what it can, at `offset` or, without one, at the end; returns how much that was: less than all
  /// only where the disk is full or a limit is reached.
  public func write(_ bytes: ArraySlice<UInt8>, at offset: UInt64?) throws(HostError) -> Int {
    let start: Int? = if let offset { try Self.position(offset) } else { nil }
    var done = 0
    while done < bytes.count {
      let result = unsafe bytes.withUnsafeBytes { buffer in
        // SAFETY: `done` is less than the count of the buffer that the call reads.
        let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[done...])
        guard let start else {
          return unsafe chost_folder_append(descriptor, rest.baseAddress, rest.count)
        }
        return unsafe pwrite(descriptor, rest.baseAddress, rest.count, start &+ done)
      }
      if result > 0 {
        done += result
      } else if result == 0 {
        break
      } else if errno != EINTR {
        guard done > 0 else { throw .current("pwrite") }
        break
      }
    }
    return done
  }

  private static func position(_ offset: UInt64) throws(HostError) -> Int {
    guard let position = Int(exactly: offset) else {
      throw HostError(call: "offset", errno: EINVAL)
    }
    return position
  }

  /// Clears the bits that give whoever executes the file its owner's or group's rights.
  public func clearPrivileges() throws(HostError) {
    let mode = try status().mode
    var cleared = mode & ~0o4000
    if mode & 0o010 != 0 { cleared &= ~0o2000 }
    guard cleared != mode else { return }
    guard fchmod(descriptor, cleared & 0o7777) == 0 else { throw .current("fchmod") }
  }

  /// `nil` leaves what it is.
  public func setOwner(user: UInt32?, group: UInt32?) throws(HostError) {
    guard fchown(descriptor, user ?? .max, group ?? .max) == 0 else { throw .current("fchown") }
  }

  public func truncate(to byteCount: UInt64) throws(HostError) {
    guard let size = off_t(exactly: byteCount) else {
      throw HostError(call: "ftruncate", errno: EFBIG)
    }
    guard ftruncate(descriptor, size) == 0 else { throw .current("ftruncate") }
  }

  /// Makes contents durable, and, unless `dataOnly`, all that is known of the file.
  public func synchronize(dataOnly: Bool) throws(HostError) {
    guard (dataOnly ? fdatasync(descriptor) : fsync(descriptor)) == 0 else {
      throw .current("fsync")
    }
  }

  /// Makes the whole file system durable.
  public func synchronizeVolume() throws(HostError) {
    guard chost_folder_sync_volume(descriptor) == 0 else { throw .current("syncfs") }
  }

  /// What `allocate` does to a range.
  public enum Allocation: Int32, Sendable {
    /// Reserves space, growing the file if it ends before.
    case reserve = 0
    /// Reserves space that may lie beyond the end.
    case reserveKeepingSize = 1
    /// Gives space back; the range reads as zeroes.
    case punchHole = 3
    case zero = 0x10
    case zeroKeepingSize = 0x11
  }

  public func allocate(
    _ what: Allocation, at offset: UInt64, byteCount: UInt64
  ) throws(HostError) {
    guard let start = Int64(exactly: offset), let count = Int64(exactly: byteCount) else {
      throw HostError(call: "fallocate", errno: EFBIG)
    }
    guard chost_folder_allocate(descriptor, what.rawValue, start, count) == 0 else {
      throw .current("fallocate")
    }
  }

  /// Where data, or a hole, begins at or after `offset`.
  public func seek(toHole isHole: Bool, from offset: UInt64) throws(HostError) -> UInt64 {
    guard let start = Int64(exactly: offset) else { throw HostError(call: "lseek", errno: ENXIO) }
    let place = chost_folder_seek(descriptor, start, isHole ? 1 : 0)
    guard place >= 0 else { throw .current("lseek") }
    return UInt64(place)
  }

  /// Copies up to `count` bytes to another file within the host; returns how many.
  public func copy(
    from offset: UInt64, count: Int, to other: OpenFile, at target: UInt64
  ) throws(HostError) -> Int {
    let result = chost_folder_copy(
      descriptor, Int64(try Self.position(offset)), other.descriptor,
      Int64(try Self.position(target)), max(0, count))
    guard result >= 0 else { throw .current("copy_file_range") }
    return result
  }

  // MARK: Directories

  /// An entry of a directory.
  public struct Entry: Hashable, Sendable {
    public var inode: UInt64
    /// Where the next entry is: what `entries` continues from.
    public var nextPosition: UInt64
    /// The file type (DT_REG and so on, S_IFMT shifted down by 12); 0 where the host does not tell.
    public var type: UInt8
    /// Includes `.` and `..`.
    public var name: [UInt8]
  }

  /// Some entries of this directory from a position on, in the host's order; none at its end.
  ///
  /// - Parameters:
  ///   - position: 0, or the `nextPosition` of an entry.
  ///   - byteCount: about how much memory they may take.
  public func entries(from position: UInt64, byteCount: Int) throws(HostError) -> [Entry] {
    let capacity = min(max(byteCount, 1024), 65536)
    var length = 0
    var failure: HostError?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
      self.position.withLock { _ in
        // SAFETY: the buffer has that capacity, of which the call initializes `length` bytes.
        length = unsafe chost_folder_entries(
          descriptor, Int64(bitPattern: position), buffer.baseAddress, capacity)
        if length < 0 { failure = .current("getdents64") }
      }
      initialized = max(0, length)
    }
    if let failure { throw failure }
    return Self.parse(bytes)
  }

  /// `struct linux_dirent64`: inode, next position, record length, type, name.
  private static func parse(_ bytes: [UInt8]) -> [Entry] {
    func word(_ offset: Int, _ count: Int) -> UInt64 {
      (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
    }
    var entries: [Entry] = []
    var start = 0
    while start + 19 < bytes.count {
      let length = Int(word(start + 16, 2))
      guard length > 19, start + length <= bytes.count else { break }
      let name = bytes[(start + 19)..<(start + length)].prefix { $0 != 0 }
      entries.append(
        Entry(
          inode: word(start, 8), nextPosition: word(start + 8, 8), type: bytes[start + 18],
          name: Array(name)))
      start += length
    }
    return entries
  }
}
