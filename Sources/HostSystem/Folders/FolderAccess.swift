private import CHost

/// What the process and its threads need in order to serve files.
public enum FolderAccess {
  /// Raises the limit of open files as far as an unprivileged process may.
  ///
  /// - Returns: the limit; a small one if the host does not tell.
  public static func raiseDescriptorLimit() -> Int {
    let limit = chost_folder_raise_limit()
    return limit > 0 ? Int(limit) : 256
  }

  /// Has the calling thread make files with just the permissions that it names, whatever the process's
  /// file mode creation mask. The thread's working directory is its own from then on.
  public static func clearPermissionMask() throws(HostError) {
    guard chost_folder_clear_mask() == 0 else { throw .current("unshare") }
  }
}
