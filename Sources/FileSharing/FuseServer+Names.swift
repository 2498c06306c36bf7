import Glibc
import HostSystem
import Synchronization

/// Making, moving and removing names.
extension FuseServer {
  private typealias Location = NodeTable.Location

  func makeLink(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let name = try request.name()
    let target = try request.string()
    try checkWritable()
    let directory = try locateDirectory(request.node)
    try directory.makeLink(name, to: target)
    return try made(name, in: directory, request)
  }

  /// `struct fuse_mknod_in`; device nodes are refused.
  func makeNode(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let mode = try request.word()
    try request.skip(12)
    let name = try request.name()
    try checkWritable()
    guard let kind = FileNode.SpecialKind(rawValue: mode & 0o170000) else {
      throw .refused(EPERM)
    }
    let directory = try locateDirectory(request.node)
    try directory.makeSpecial(
      name, kind, permissions: permissions(mode, isDirectory: false))
    return try made(name, in: directory, request)
  }

  /// `struct fuse_mkdir_in`
  func makeDirectory(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let mode = try request.word()
    try request.skip(4)
    let name = try request.name()
    try checkWritable()
    let directory = try locateDirectory(request.node)
    try directory.makeDirectory(name, permissions: permissions(mode, isDirectory: true))
    return try made(name, in: directory, request)
  }

  /// Tells the guest of what it has made, and gives it away if that is wanted.
  private func made(
    _ name: FileName, in directory: FileNode, _ request: FuseRequest
  ) throws(HostError) -> FuseReply {
    if options.givesFilesToGuestUsers {
      let child = try withDescriptors { () throws(HostError) in try directory.child(name) }
      try give(request, in: directory) { (user, group) throws(HostError) in
        try child.setOwner(user: user, group: group)
      }
    }
    var reply = FuseReply()
    let status = try look(name, in: directory)
    try enter(status, at: Location(directory: request.node, name: name), in: &reply)
    return reply
  }

  private func give(
    _ request: FuseRequest, in directory: FileNode,
    _ setOwner: (UInt32?, UInt32?) throws(HostError) -> Void
  ) throws(HostError) {
    // A set-group-ID directory hands down its own group.
    let inheritsGroup = try directory.status().mode & 0o2000 != 0
    do throws(HostError) {
      try setOwner(request.user, inheritsGroup ? nil : request.group)
    } catch {
      guard error.errno == EPERM, options.ignoresOwnershipErrors else { throw error }
    }
  }

  /// `struct fuse_create_in`: makes a file and opens it.
  func create(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let flags = try request.word()
    let mode = try request.word()
    try request.skip(4)
    let openFlags = try request.word()
    let name = try request.name()
    try checkWritable()
    let openMode = try Self.openMode(flags)
    let directory = try locateDirectory(request.node)
    let location = Location(directory: request.node, name: name)
    let (file, node) = try makeOrOpen(
      name, in: directory, request, permissions: permissions(mode, isDirectory: false), openMode,
      isExclusive: flags & OpenFlag.exclusive != 0,
      clearsPrivileges: openFlags & FuseFlag.openClearsPrivileges != 0)
    var reply = FuseReply()
    let number = try enter(try file.status(), at: location, in: &reply)
    do throws(HostError) {
      appendOpened(try addHandle(file, held: node, number), to: &reply)
    } catch {
      // The guest will not hear of the file.
      state.withLock { $0.nodes.forget(number, count: 1) }
      throw error
    }
    return reply
  }

  private func makeOrOpen(
    _ name: FileName, in directory: FileNode, _ request: FuseRequest, permissions: UInt32,
    _ mode: OpenFile.Mode, isExclusive: Bool, clearsPrivileges: Bool
  ) throws(HostError) -> (OpenFile, FileNode) {
    do throws(HostError) {
      let file = try withDescriptors { () throws(HostError) in
        try directory.create(name, permissions: permissions, mode)
      }
      if options.givesFilesToGuestUsers {
        try give(request, in: directory) { (user, group) throws(HostError) in
          try file.setOwner(user: user, group: group)
        }
      }
      return (file, try withDescriptors { () throws(HostError) in try file.node() })
    } catch {
      guard error.errno == EEXIST, !isExclusive else { throw error }
    }
    // The host made it since the guest last looked: it is opened like any other.
    let status = try look(name, in: directory)
    let node = try withDescriptors { () throws(HostError) in try directory.child(name) }
    guard node.identity == status.identity else { throw .refused(EAGAIN) }
    guard node.kind == .regular else {
      throw .refused(node.kind == .directory ? EISDIR : EEXIST)
    }
    let file = try withDescriptors { () throws(HostError) in try node.open(mode) }
    if clearsPrivileges { try file.clearPrivileges() }
    return (file, node)
  }

  /// `struct fuse_link_in`
  func link(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let number = try request.doubleWord()
    let name = try request.name()
    try checkWritable()
    let directory = try locateDirectory(request.node)
    try locate(number).link(in: directory, as: name)
    var reply = FuseReply()
    let status = try look(name, in: directory)
    try enter(status, at: Location(directory: request.node, name: name), in: &reply)
    return reply
  }

  func remove(_ request: FuseRequest, isDirectory: Bool) throws(HostError) -> FuseReply {
    var request = request
    let name = try request.name()
    try checkWritable()
    try locateDirectory(request.node).remove(name, isDirectory: isDirectory)
    return FuseReply()
  }

  /// `struct fuse_rename_in` or `struct fuse_rename2_in`
  func rename(_ request: FuseRequest, hasFlags: Bool) throws(HostError) -> FuseReply {
    var request = request
    let newDirectory = try request.doubleWord()
    let flags = hasFlags ? try request.word() : 0
    if hasFlags { try request.skip(4) }
    let old = Location(directory: request.node, name: try request.name())
    let new = Location(directory: newDirectory, name: try request.name())
    try checkWritable()
    guard let rule = FileNode.RenameRule(rawValue: flags) else { throw .refused(EINVAL) }
    let from = try locateDirectory(old.directory)
    let to = try locateDirectory(new.directory)
    let moved = try from.status(of: old.name).identity
    let other = rule == .exchange ? try to.status(of: new.name).identity : nil
    try from.rename(old.name, to: to, new.name, rule)
    state.withLock { state in
      state.nodes.move(moved, to: new)
      if let other { state.nodes.move(other, to: old) }
    }
    return FuseReply()
  }
}
