private import CHost
private import Glibc

/// A file below a directory, of whatever type, found but not opened (O_PATH): neither a symbolic link nor a
/// device or FIFO is touched by holding one. As long as it is held, its inode's number is not given to another.
///
/// From a directory's node only the names in it can be reached, one component at a time, and no link is
/// ever followed: what is reached by way of a node lies below it.
public final class FileNode: Sendable {
  let descriptor: Int32
  /// As it was when the node was found.
  public let identity: FileStatus.Identity
  public let born: FileStatus.Time
  public let kind: FileStatus.Kind

  /// The directory at a path of the host; links are followed.
  public convenience init(directory path: String) throws(HostError) {
    // SAFETY: the string is ended by a NUL.
    let descriptor = unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .current("open") }
    try self.init(owning: descriptor)
  }

  init(owning descriptor: Int32) throws(HostError) {
    self.descriptor = descriptor
    var status = chost_status()
    // SAFETY: the name is ended by a NUL and `status` is exclusively ours.
    guard unsafe chost_folder_status(descriptor, "", &status) == 0 else {
      let error = HostError.current("statx")
      close(descriptor)
      throw error
    }
    let known = FileStatus(status)
    identity = known.identity
    born = known.born
    kind = known.kind
  }

  deinit { close(descriptor) }

  // MARK: Looking

  public func status() throws(HostError) -> FileStatus {
    var status = chost_status()
    // SAFETY: the name is ended by a NUL and `status` is exclusively ours.
    guard unsafe chost_folder_status(descriptor, "", &status) == 0 else { throw .current("statx") }
    return FileStatus(status)
  }

  /// The status of what `name` in this directory stands for, be it a link.
  public func status(of name: FileName) throws(HostError) -> FileStatus {
    var status = chost_status()
    let result = name.withCharacters { characters in
      // SAFETY: the name is ended by a NUL and `status` is exclusively ours.
      unsafe chost_folder_status(descriptor, characters, &status)
    }
    guard result == 0 else { throw .current("statx") }
    return FileStatus(status)
  }

  /// What `name` in this directory stands for, be it a link.
  public func child(_ name: FileName) throws(HostError) -> FileNode {
    let child = name.withCharacters { unsafe chost_folder_locate(descriptor, $0) }
    guard child >= 0 else { throw .current("openat") }
    return try FileNode(owning: child)
  }

  public func volume() throws(HostError) -> VolumeStatus {
    var volume = chost_volume()
    // SAFETY: `volume` is exclusively ours.
    guard unsafe chost_folder_volume(descriptor, &volume) == 0 else { throw .current("fstatfs") }
    return VolumeStatus(volume)
  }

  /// The target of this symbolic link.
  public func linkTarget() throws(HostError) -> [UInt8] {
    guard kind == .symbolicLink else { throw HostError(call: "readlinkat", errno: EINVAL) }
    var length = 0
    let target = unsafe [CChar](unsafeUninitializedCapacity: 4096) { buffer, initialized in
      // SAFETY: the buffer has room for 4096 bytes, of which the call initializes `length`.
      length = unsafe chost_folder_read_link(descriptor, buffer.baseAddress, 4096)
      initialized = max(0, length)
    }
    guard length >= 0 else { throw .current("readlinkat") }
    return target.map { UInt8(bitPattern: $0) }
  }

  // MARK: Opening

  /// Opens a regular file or a directory.
  ///
  /// - Throws: `ENXIO` for what is neither: opening a FIFO or a device would do something to the host.
  public func open(_ mode: OpenFile.Mode) throws(HostError) -> OpenFile {
    switch kind {
    case .regular: break
    case .directory:
      guard !mode.access.isWriting, !mode.truncates else {
        throw HostError(call: "open", errno: EISDIR)
      }
    case .symbolicLink: throw HostError(call: "open", errno: ELOOP)
    case .special: throw HostError(call: "open", errno: ENXIO)
    }
    let file = chost_folder_reopen(descriptor, mode.flags)
    guard file >= 0 else { throw .current("open") }
    return OpenFile(owning: file, isDirectory: kind == .directory)
  }

  /// Makes a regular file in this directory and opens it.
  ///
  /// - Throws: `EEXIST` if there is anything by that name.
  public func create(
    _ name: FileName, permissions: UInt32, _ mode: OpenFile.Mode
  ) throws(HostError) -> OpenFile {
    let file = name.withCharacters {
      unsafe chost_folder_create(descriptor, $0, mode.flags, permissions & 0o7777)
    }
    guard file >= 0 else { throw .current("openat") }
    return OpenFile(owning: file, isDirectory: false)
  }
}
