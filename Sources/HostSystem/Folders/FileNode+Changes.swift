private import CHost
private import Glibc

/// Changes of a directory's names, and of what is known of a file.
extension FileNode {
  /// What a file can be made as without being opened. Not a device node: that would be a door to the host's.
  public enum SpecialKind: UInt32, Sendable {
    case regular = 0o100000
    case fifo = 0o010000
    case socket = 0o140000
  }

  /// What happens if the new name of a `rename` is taken.
  public enum RenameRule: UInt32, Sendable {
    case replace = 0
    case refuse = 1
    case exchange = 2
  }

  public func makeDirectory(_ name: FileName, permissions: UInt32) throws(HostError) {
    try check(
      "mkdirat", name.withCharacters { unsafe mkdirat(descriptor, $0, permissions & 0o7777) })
  }

  public func makeSpecial(
    _ name: FileName, _ kind: SpecialKind, permissions: UInt32
  ) throws(HostError) {
    let mode = kind.rawValue | permissions & 0o7777
    try check("mknodat", name.withCharacters { unsafe mknodat(descriptor, $0, mode, 0) })
  }

  /// - Parameter target: any bytes but NUL.
  public func makeLink(_ name: FileName, to target: some Sequence<UInt8>) throws(HostError) {
    let target = target.map { CChar(bitPattern: $0) } + [0]
    try check("symlinkat", name.withCharacters { unsafe symlinkat(target, descriptor, $0) })
  }

  public func remove(_ name: FileName, isDirectory: Bool) throws(HostError) {
    let flags = isDirectory ? AT_REMOVEDIR : 0
    try check("unlinkat", name.withCharacters { unsafe unlinkat(descriptor, $0, flags) })
  }

  /// Gives this file another name.
  public func link(in directory: FileNode, as name: FileName) throws(HostError) {
    let result = name.withCharacters {
      unsafe chost_folder_link(descriptor, directory.descriptor, $0)
    }
    try check("linkat", result)
  }

  /// Moves what `name` stands for in this directory.
  public func rename(
    _ name: FileName, to directory: FileNode, _ newName: FileName, _ rule: RenameRule
  ) throws(HostError) {
    let result = name.withCharacters { old in
      newName.withCharacters { new in
        unsafe chost_folder_rename(descriptor, old, directory.descriptor, new, rule.rawValue)
      }
    }
    try check("renameat2", result)
  }

  /// - Throws: `EOPNOTSUPP` for a symbolic link.
  public func setPermissions(_ permissions: UInt32) throws(HostError) {
    guard kind != .symbolicLink else { throw HostError(call: "chmod", errno: EOPNOTSUPP) }
    try check("chmod", chost_folder_set_mode(descriptor, permissions & 0o7777))
  }

  /// `nil` leaves what it is.
  public func setOwner(user: UInt32?, group: UInt32?) throws(HostError) {
    try check("fchownat", chost_folder_set_owner(descriptor, user ?? .max, group ?? .max))
  }

  public enum TimeChange: Hashable, Sendable {
    case keep, now
    case set(FileStatus.Time)

    fileprivate var parts: (seconds: Int64, nanoseconds: Int64) {
      switch self {
      case .keep: (0, -2)
      case .now: (0, -1)
      case .set(let time): (time.seconds, Int64(time.nanoseconds))
      }
    }
  }

  /// - Throws: `EINVAL` for more than 999,999,999 ns.
  public func setTimes(accessed: TimeChange, modified: TimeChange) throws(HostError) {
    for case .set(let time) in [accessed, modified] where time.nanoseconds > 999_999_999 {
      throw HostError(call: "utimensat", errno: EINVAL)
    }
    let result = chost_folder_set_times(
      descriptor, accessed.parts.seconds, accessed.parts.nanoseconds, modified.parts.seconds,
      modified.parts.nanoseconds)
    try check("utimensat", result)
  }

  private func check(_ call: String, _ result: Int32) throws(HostError) {
    guard result == 0 else { throw .current(call) }
  }
}
