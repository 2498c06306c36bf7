/// How a folder is shared.
public struct SharingOptions: Hashable, Sendable {
  /// Every change is answered with EROFS.
  public var isReadOnly = false
  /// How long the guest may take names and what is known of files for granted, in seconds. Changes that the
  /// host makes show in the guest after that time.
  public var cacheSeconds: UInt64 = 1
  /// A change of ownership that the host forbids is answered with success, and nothing changes.
  public var ignoresOwnershipErrors = true
  /// New files are given to whoever made them in the guest, by number. Otherwise, and wherever the host
  /// forbids it, they belong to the monitor's user.
  public var givesFilesToGuestUsers = false
  /// The guest may make programs that run with their owner's or group's rights, on the host too.
  public var allowsSetUserID = false
  /// The most files that the guest may know at a time.
  public var mostNodes = 1 << 20
  /// The most files that are held by descriptor without being open; `nil` for what the host's limit of open files
  /// suggests.
  public var mostHeldNodes: Int?
  /// The most files that the guest may have open; `nil` for what the host's limit suggests.
  public var mostOpenFiles: Int?

  public init() {}
}
