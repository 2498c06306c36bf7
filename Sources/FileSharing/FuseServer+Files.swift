import Glibc
import HostSystem

/// Open files: their contents.
extension FuseServer {
  static func openMode(_ flags: UInt32) throws(HostError) -> OpenFile.Mode {
    let access: OpenFile.Access
    switch flags & OpenFlag.accessMode {
    case 0: access = .read
    case 1: access = .write
    case 2: access = .readWrite
    default: throw .refused(EINVAL)
    }
    var mode = OpenFile.Mode(access)
    mode.truncates = flags & OpenFlag.truncate != 0
    mode.isSynchronous = flags & OpenFlag.synchronous == OpenFlag.synchronous
    mode.isDataSynchronous = flags & OpenFlag.dataSynchronous != 0
    return mode
  }

  /// `struct fuse_open_in`
  func open(_ request: FuseRequest, isDirectory: Bool) throws(HostError) -> FuseReply {
    var request = request
    let flags = try request.word()
    let openFlags = try request.word()
    let mode = isDirectory ? OpenFile.Mode(.read) : try Self.openMode(flags)
    if mode.access.isWriting || mode.truncates { try checkWritable() }
    let node = try locate(request.node)
    if isDirectory {
      guard node.kind == .directory else { throw .refused(ENOTDIR) }
    } else {
      guard node.kind != .directory else { throw .refused(EISDIR) }
    }
    let file = try withDescriptors { () throws(HostError) in try node.open(mode) }
    if mode.truncates && openFlags & FuseFlag.openClearsPrivileges != 0 {
      try file.clearPrivileges()
    }
    var reply = FuseReply()
    appendOpened(try addHandle(file, held: node, request.node), to: &reply)
    return reply
  }

  /// `struct fuse_open_out`
  func appendOpened(_ handle: UInt64, to reply: inout FuseReply) {
    reply.append(handle)
    reply.append(UInt64(0))
  }

  /// `struct fuse_read_in`
  func read(_ request: FuseRequest, _ replyLimit: Int) throws(HostError) -> FuseReply {
    var request = request
    let file = try handle(try request.doubleWord(), of: request.node)
    let offset = try request.doubleWord()
    let wanted = Int(try request.word())
    let count = min(wanted, Self.mostBytes, max(0, replyLimit - FuseReply.headerByteCount))
    let room = [UInt8](repeating: 0, count: FuseReply.headerByteCount)
    return FuseReply(withRoom: try file.read(count, at: offset, after: room))
  }

  /// `struct fuse_write_in` to `struct fuse_write_out`
  func write(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let number = try request.doubleWord()
    let offset = try request.doubleWord()
    let count = Int(try request.word())
    let flags = try request.word()
    try request.skip(8)
    let openFlags = try request.word()
    try request.skip(4)
    try checkWritable()
    let file = try handle(number, of: request.node)
    guard request.rest.count == count else { throw .refused(EINVAL) }
    let appends = openFlags & OpenFlag.append != 0 && flags & FuseFlag.writeFromCache == 0
    let written = try file.write(request.rest, at: appends ? nil : offset)
    if flags & FuseFlag.writeClearsPrivileges != 0 { try file.clearPrivileges() }
    var reply = FuseReply()
    reply.append(UInt32(truncatingIfNeeded: written))
    reply.append(UInt32(0))
    return reply
  }

  /// `struct fuse_fsync_in`, for files and directories.
  func synchronize(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let file = try handle(try request.doubleWord(), of: request.node)
    try file.synchronize(dataOnly: try request.word() & FuseFlag.dataOnly != 0)
    return FuseReply()
  }

  /// `struct fuse_fallocate_in`
  func allocate(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let number = try request.doubleWord()
    let offset = try request.doubleWord()
    let byteCount = try request.doubleWord()
    let mode = try request.word()
    try checkWritable()
    let file = try handle(number, of: request.node)
    guard let what = OpenFile.Allocation(rawValue: Int32(truncatingIfNeeded: mode)) else {
      throw .refused(EOPNOTSUPP)
    }
    try file.allocate(what, at: offset, byteCount: byteCount)
    return FuseReply()
  }

  /// `struct fuse_lseek_in`: SEEK_DATA and SEEK_HOLE, the rest is the guest's own business.
  func seek(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let file = try handle(try request.doubleWord(), of: request.node)
    let offset = try request.doubleWord()
    let whence = try request.word()
    guard (3...4).contains(whence), !file.isDirectory else { throw .refused(EINVAL) }
    var reply = FuseReply()
    reply.append(try file.seek(toHole: whence == 4, from: offset))
    return reply
  }

  /// No more is copied at once, so that a request takes bounded time.
  private static let mostCopiedBytes: UInt64 = 64 << 20

  /// `struct fuse_copy_file_range_in`
  func copyFileRange(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let number = try request.doubleWord()
    let offset = try request.doubleWord()
    let otherNode = try request.doubleWord()
    let otherNumber = try request.doubleWord()
    let target = try request.doubleWord()
    let count = try request.doubleWord()
    let flags = try request.doubleWord()
    try checkWritable()
    guard flags == 0 else { throw .refused(EINVAL) }
    let file = try handle(number, of: request.node)
    let other = try handle(otherNumber, of: otherNode)
    let copied = try file.copy(
      from: offset, count: Int(min(count, Self.mostCopiedBytes)), to: other, at: target)
    var reply = FuseReply()
    reply.append(UInt32(truncatingIfNeeded: copied))
    reply.append(UInt32(0))
    return reply
  }

  func synchronizeFileSystem() throws(HostError) -> FuseReply {
    let file = try withDescriptors { () throws(HostError) in try root.open(.init(.read)) }
    try file.synchronizeVolume()
    return FuseReply()
  }
}
