import Glibc
import HostSystem
import Synchronization

/// Finding files, and what is known of them.
extension FuseServer {
  // MARK: Finding

  /// The file that the guest knows by `number`, found anew where its descriptor was let go.
  ///
  /// - Throws: `ESTALE` if it is not where it was: the guest then looks its name up again.
  func locate(_ number: UInt64) throws(HostError) -> FileNode {
    let trail = try state.withLock { state throws(HostError) in
      try state.nodes.trail(to: number)
    }
    var here = trail.start
    for step in trail.steps.reversed() {
      let directory = here
      do throws(HostError) {
        here = try withDescriptors { () throws(HostError) in try directory.child(step.name) }
      } catch {
        throw Self.staleIfGone(error)
      }
      guard here.identity == step.node.identity, here.born == step.node.born,
        here.kind == step.node.kind
      else { throw .refused(ESTALE) }
      let found = here
      state.withLock { $0.nodes.hold(found, for: step.number) }
    }
    return here
  }

  /// The directory that a request names.
  func locateDirectory(_ number: UInt64) throws(HostError) -> FileNode {
    let node = try locate(number)
    guard node.kind == .directory else { throw .refused(ENOTDIR) }
    return node
  }

  private static func staleIfGone(_ error: HostError) -> HostError {
    error.errno == ENOENT || error.errno == ENOTDIR ? .refused(ESTALE) : error
  }

  /// What is known of a file now; that alone does not make it held.
  private func status(of number: UInt64) throws(HostError) -> FileStatus {
    let (node, held) = state.withLock { state in
      (state.nodes.nodes[number], state.nodes.nodes[number]?.held)
    }
    guard let node else { throw .refused(ESTALE) }
    if let held { return try held.status() }
    guard let location = node.location else { throw .refused(ESTALE) }
    let directory = try locate(location.directory)
    do throws(HostError) {
      let status = try directory.status(of: location.name)
      guard node.isFound(in: status) else { throw .refused(ESTALE) }
      return status
    } catch {
      throw Self.staleIfGone(error)
    }
  }

  /// What `name` stands for in a directory.
  ///
  /// - Throws: `EACCES` for what lies on a file system that is not shared.
  func look(_ name: FileName, in directory: FileNode) throws(HostError) -> FileStatus {
    let status = try directory.status(of: name)
    let device = status.identity.device
    if let known = state.withLock({ $0.volumes[device] }) {
      guard known != nil else { throw .refused(EACCES) }
      return status
    }
    let child = try withDescriptors { () throws(HostError) in try directory.child(name) }
    guard child.identity == status.identity else { throw .refused(EAGAIN) }
    let isRefused = RefusedFileSystems.contains(try child.volume().type)
    state.withLock { state in
      if state.volumes[device] == nil {
        let number = UInt64(state.volumes.count)
        state.volumes[device] = .some(isRefused ? nil : number)
      }
    }
    guard !isRefused else { throw .refused(EACCES) }
    return status
  }

  /// The inode's number that the guest is told: inodes of several file systems may have the same.
  func inode(_ number: UInt64, device: UInt64) -> UInt64 {
    let volume = state.withLock { $0.volumes[device] } ?? nil
    return number ^ (volume ?? 0) << 48
  }

  // MARK: Answers

  /// Tells the guest of a file: `struct fuse_entry_out`. Returns its number.
  @discardableResult
  func enter(
    _ status: FileStatus, at location: NodeTable.Location, in reply: inout FuseReply
  ) throws(HostError) -> UInt64 {
    let number = try state.withLock { state throws(HostError) in
      try state.nodes.enter(status, at: location)
    }
    appendEntry(number, status, to: &reply)
    return number
  }

  private func appendEntry(_ number: UInt64, _ status: FileStatus, to reply: inout FuseReply) {
    reply.append(number)
    reply.append(UInt64(0))  // Numbers are never given twice: one generation.
    reply.append(options.cacheSeconds)
    reply.append(options.cacheSeconds)
    reply.append(UInt64(0))
    append(status, to: &reply)
  }

  /// There is no such file, and the guest may believe that for a while.
  static func appendNoEntry(seconds: UInt64, to reply: inout FuseReply) {
    reply.append(UInt64(0))
    reply.append(UInt64(0))
    reply.append(seconds)
    reply.append([UInt8](repeating: 0, count: entryByteCount - 24))
  }

  /// Of `struct fuse_entry_out`.
  static let entryByteCount = 128

  func append(_ status: FileStatus, to reply: inout FuseReply) {
    reply.append(status, inode: inode(status.identity.inode, device: status.identity.device))
  }

  /// `struct fuse_attr_out`
  private func attributes(_ status: FileStatus) -> FuseReply {
    var reply = FuseReply()
    reply.append(options.cacheSeconds)
    reply.append(UInt64(0))
    append(status, to: &reply)
    return reply
  }

  // MARK: Requests

  func lookup(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let name = try request.name()
    let directory = try locateDirectory(request.node)
    var reply = FuseReply()
    do throws(HostError) {
      let status = try look(name, in: directory)
      try enter(status, at: .init(directory: request.node, name: name), in: &reply)
    } catch {
      guard error.errno == ENOENT, options.cacheSeconds > 0 else { throw error }
      Self.appendNoEntry(seconds: options.cacheSeconds, to: &reply)
    }
    return reply
  }

  func forget(_ request: FuseRequest) throws(HostError) {
    var request = request
    let count = try request.doubleWord()
    state.withLock { $0.nodes.forget(request.node, count: count) }
  }

  /// `struct fuse_batch_forget_in`, and pairs of a node and a count.
  func batchForget(_ request: FuseRequest) throws(HostError) {
    var request = request
    let pairs = try request.word()
    try request.skip(4)
    for _ in 0..<pairs {
      let node = try request.doubleWord()
      let count = try request.doubleWord()
      state.withLock { $0.nodes.forget(node, count: count) }
    }
  }

  /// `struct fuse_getattr_in`
  func getAttributes(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let flags = try request.word()
    try request.skip(4)
    let number = try request.doubleWord()
    if flags & FuseFlag.attributesOfHandle != 0 {
      return attributes(try handle(number, of: request.node).status())
    }
    return attributes(try status(of: request.node))
  }

  /// `struct fuse_setattr_in`
  func setAttributes(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let changes = FuseChanges(rawValue: try request.word())
    try request.skip(4)
    let handleNumber = try request.doubleWord()
    let byteCount = try request.doubleWord()
    try request.skip(8)
    let seconds = (try request.doubleWord(), try request.doubleWord(), try request.doubleWord())
    let nanoseconds = (try request.word(), try request.word(), try request.word())
    let mode = try request.word()
    try request.skip(4)
    let owner = (try request.word(), try request.word())
    try checkWritable()

    let node = try locate(request.node)
    let opened =
      changes.contains(.handle) ? try handle(handleNumber, of: request.node) : nil
    if changes.contains(.mode) {
      try node.setPermissions(permissions(mode, isDirectory: node.kind == .directory))
    }
    if !changes.isDisjoint(with: [.user, .group]) {
      try setOwner(
        of: node, user: changes.contains(.user) ? owner.0 : nil,
        group: changes.contains(.group) ? owner.1 : nil)
    }
    if changes.contains(.size) {
      let file: OpenFile
      if let opened {
        file = opened
      } else {
        file = try withDescriptors { () throws(HostError) in try node.open(.init(.write)) }
      }
      try file.truncate(to: byteCount)
      if changes.contains(.clearsPrivileges) { try file.clearPrivileges() }
    }
    func time(
      _ set: FuseChanges, _ now: FuseChanges, _ seconds: UInt64, _ nanoseconds: UInt32
    ) -> FileNode.TimeChange {
      if changes.contains(now) { return .now }
      guard changes.contains(set) else { return .keep }
      return .set(.init(seconds: Int64(bitPattern: seconds), nanoseconds: nanoseconds))
    }
    let accessed = time(.accessed, .accessedNow, seconds.0, nanoseconds.0)
    let modified = time(.modified, .modifiedNow, seconds.1, nanoseconds.1)
    if accessed != .keep || modified != .keep {
      try node.setTimes(accessed: accessed, modified: modified)
    }
    return attributes(try node.status())
  }

  private func setOwner(of node: FileNode, user: UInt32?, group: UInt32?) throws(HostError) {
    do throws(HostError) {
      try node.setOwner(user: user, group: group)
    } catch {
      guard error.errno == EPERM, options.ignoresOwnershipErrors else { throw error }
    }
  }

  func readLink(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var reply = FuseReply()
    reply.append(try locate(request.node).linkTarget())
    return reply
  }

  /// `struct fuse_kstatfs`
  func statFileSystem(_ request: FuseRequest) throws(HostError) -> FuseReply {
    let volume = try locate(request.node).volume()
    var reply = FuseReply()
    reply.append(volume.blockCount)
    reply.append(volume.freeBlockCount)
    reply.append(volume.availableBlockCount)
    reply.append(volume.fileCount)
    reply.append(volume.freeFileCount)
    reply.append(volume.blockByteCount)
    reply.append(min(volume.mostNameBytes, UInt32(FileName.mostBytes)))
    reply.append(volume.fragmentByteCount)
    reply.append([UInt8](repeating: 0, count: 28))
    return reply
  }
}
