import Glibc
public import HostSystem
import Synchronization

/// A FUSE server (protocol 7.31 and later, as Linux's virtio-fs driver speaks it) for one folder of the host.
///
/// Requests may come from several threads at once. Nothing outside the folder can be reached: see `FileNode`.
/// What a mount point in the folder hides is not shown, what is mounted there is, unless it is one of the
/// kernel's own file systems (`RefusedFileSystems`).
public final class FuseServer: Sendable {
  struct Handle {
    var file: OpenFile
    var node: UInt64
  }

  struct State {
    var nodes: NodeTable
    var handles: [UInt64: Handle] = [:]
    var nextHandle: UInt64 = 1
    /// The file systems met so far, by device: what sets their inodes' numbers apart; `nil` for one that
    /// is not shared.
    var volumes: [UInt64: UInt64?]
  }

  /// The most bytes that a READ or a WRITE may move: what 256 pages hold (FUSE_MAX_MAX_PAGES).
  public static let mostBytes = 1 << 20
  /// The most bytes of a request or of a reply.
  public static let mostMessageBytes = mostBytes + 65536

  let options: SharingOptions
  let root: FileNode
  let state: Mutex<State>
  private let mostHeldNodes: Int
  private let mostOpenFiles: Int

  /// - Parameter root: the shared directory.
  public init(root: FileNode, options: SharingOptions = SharingOptions()) {
    self.root = root
    self.options = options
    let limit = FolderAccess.raiseDescriptorLimit()
    mostHeldNodes = options.mostHeldNodes ?? min(65536, limit / 2)
    mostOpenFiles = options.mostOpenFiles ?? min(65536, limit / 4)
    state = Mutex(Self.initialState(root, options, mostHeldNodes))
  }

  private static func initialState(
    _ root: FileNode, _ options: SharingOptions, _ mostHeldNodes: Int
  ) -> State {
    State(
      nodes: NodeTable(root: root, mostNodes: options.mostNodes, mostHeld: mostHeldNodes),
      volumes: [root.identity.device: 0])
  }

  /// The guest has gone: forgets the files that it knew, and closes those it had open.
  public func reset() {
    let fresh = Self.initialState(root, options, mostHeldNodes)
    // What the old state holds is closed after the lock is given up.
    let old = state.withLock { state in
      let old = state
      state = fresh
      return old
    }
    _ = old
  }

  /// How many files the guest knows (with the root), how many of them are held by descriptor, and how many are open.
  public var counts: (nodes: Int, held: Int, open: Int) {
    state.withLock { ($0.nodes.nodes.count, $0.nodes.heldCount, $0.handles.count) }
  }

  // MARK: Requests

  /// Carries out a request, and waits for the host where that takes time.
  ///
  /// - Parameter replyLimit: how many bytes the guest has room for.
  /// - Returns: the answer; no bytes if there is none.
  public func answer(_ bytes: [UInt8], replyLimit: Int = mostMessageBytes) -> [UInt8] {
    guard let request = FuseRequest(bytes) else {
      return limited(FuseReply.error(EINVAL, unique: 0), replyLimit, unique: 0)
    }
    guard let operation = FuseOperation(rawValue: request.operation) else {
      return limited(
        FuseReply.error(ENOSYS, unique: request.unique), replyLimit, unique: request.unique)
    }
    let reply: [UInt8]
    do throws(HostError) {
      guard let done = try perform(operation, request, replyLimit) else { return [] }
      reply = done.finished(unique: request.unique)
    } catch {
      reply = FuseReply.error(error.errno, unique: request.unique)
    }
    return limited(reply, replyLimit, unique: request.unique)
  }

  private func limited(_ reply: [UInt8], _ limit: Int, unique: UInt64) -> [UInt8] {
    if reply.count <= limit { return reply }
    return limit >= FuseReply.headerByteCount ? FuseReply.error(EIO, unique: unique) : []
  }

  private func perform(
    _ operation: FuseOperation, _ request: FuseRequest, _ replyLimit: Int
  ) throws(HostError) -> FuseReply? {
    switch operation {
    case .initialize: return try initialize(request)
    case .destroy:
      reset()
      return FuseReply()
    case .interrupt: return nil
    case .forget:
      try? forget(request)
      return nil
    case .batchForget:
      try? batchForget(request)
      return nil
    case .lookup: return try lookup(request)
    case .getAttributes: return try getAttributes(request)
    case .setAttributes: return try setAttributes(request)
    case .readLink: return try readLink(request)
    case .statFileSystem: return try statFileSystem(request)
    case .symbolicLink: return try makeLink(request)
    case .makeNode: return try makeNode(request)
    case .makeDirectory: return try makeDirectory(request)
    case .create: return try create(request)
    case .link: return try link(request)
    case .unlink: return try remove(request, isDirectory: false)
    case .removeDirectory: return try remove(request, isDirectory: true)
    case .rename: return try rename(request, hasFlags: false)
    case .rename2: return try rename(request, hasFlags: true)
    case .open: return try open(request, isDirectory: false)
    case .openDirectory: return try open(request, isDirectory: true)
    case .release, .releaseDirectory: return try release(request)
    case .read: return try read(request, replyLimit)
    case .write: return try write(request)
    case .synchronize, .synchronizeDirectory: return try synchronize(request)
    case .allocate: return try allocate(request)
    case .seek: return try seek(request)
    case .copyFileRange: return try copyFileRange(request)
    case .synchronizeFileSystem: return try synchronizeFileSystem()
    case .readDirectory: return try readDirectory(request, replyLimit)
    case .readDirectoryPlus: return try readDirectoryPlus(request, replyLimit)
    case .getExtendedAttribute: return try getExtendedAttribute(request)
    case .listExtendedAttributes: return try listExtendedAttributes(request)
    case .setExtendedAttribute: return try setExtendedAttribute(request)
    case .removeExtendedAttribute: return try removeExtendedAttribute(request)
    }
  }

  // MARK: The session

  /// `struct fuse_init_in` to `struct fuse_init_out`
  private func initialize(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let major = try request.word()
    let minor = try request.word()
    guard major >= FuseVersion.major, major > FuseVersion.major || minor >= FuseVersion.leastMinor
    else { throw .refused(EPROTO) }
    let readAhead = try request.word()
    let offered = FuseFeatures(rawValue: try request.word())
    reset()
    var reply = FuseReply()
    reply.append(FuseVersion.major)
    // A guest of a later major version asks again with this one.
    reply.append(
      major > FuseVersion.major ? FuseVersion.mostMinor : min(minor, FuseVersion.mostMinor))
    reply.append(min(readAhead, UInt32(Self.mostBytes)))
    reply.append(offered.intersection(.supported).rawValue)
    reply.append(UInt16(64))  // max_background
    reply.append(UInt16(48))  // congestion_threshold
    reply.append(UInt32(Self.mostBytes))
    reply.append(UInt32(1))  // time_gran, in ns
    reply.append(UInt16(Self.mostBytes / 4096))
    reply.append(UInt16(0))  // map_alignment
    reply.append([UInt8](repeating: 0, count: 32))
    return reply
  }

  // MARK: What requests share

  func checkWritable() throws(HostError) {
    if options.isReadOnly { throw .refused(EROFS) }
  }

  /// The permissions that a file may get.
  func permissions(_ mode: UInt32, isDirectory: Bool) -> UInt32 {
    let allowed: UInt32 = options.allowsSetUserID ? 0o7777 : isDirectory ? 0o3777 : 0o1777
    return mode & allowed
  }

  /// Tries again after letting go of descriptors if there were none left.
  func withDescriptors<Result>(
    _ body: () throws(HostError) -> Result
  ) throws(HostError) -> Result {
    do throws(HostError) {
      return try body()
    } catch {
      guard error.errno == EMFILE || error.errno == ENFILE else { throw error }
    }
    state.withLock { $0.nodes.letGoOfHalf() }
    do throws(HostError) {
      return try body()
    } catch {
      throw error.errno == EMFILE ? .refused(ENFILE) : error
    }
  }

  // MARK: Handles

  /// Opens for the guest what it knows by `number`.
  func addHandle(
    _ file: OpenFile, held: FileNode, _ number: UInt64
  ) throws(HostError) -> UInt64 {
    try state.withLock { state throws(HostError) in
      guard state.handles.count < mostOpenFiles else { throw .refused(ENFILE) }
      let handle = state.nextHandle
      state.nextHandle &+= 1
      state.handles[handle] = Handle(file: file, node: number)
      state.nodes.hold(held, for: number)
      state.nodes.noteOpened(number)
      return handle
    }
  }

  /// - Throws: `EBADF` unless it is a handle of this node.
  func handle(_ number: UInt64, of node: UInt64) throws(HostError) -> OpenFile {
    let handle = state.withLock { $0.handles[number] }
    guard let handle, handle.node == node else { throw .refused(EBADF) }
    return handle.file
  }

  /// `struct fuse_release_in`
  private func release(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let number = try request.doubleWord()
    // The file is closed after the lock is given up.
    let handle = state.withLock { state -> Handle? in
      guard let handle = state.handles[number], handle.node == request.node else { return nil }
      state.handles[number] = nil
      state.nodes.noteClosed(handle.node)
      return handle
    }
    guard handle != nil else { throw .refused(EBADF) }
    return FuseReply()
  }
}
