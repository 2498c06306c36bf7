import Glibc
import HostSystem
import Synchronization

/// Reading directories.
extension FuseServer {
  /// Of `struct fuse_dirent` before the name.
  private static let entryHeaderByteCount = 24

  /// `struct fuse_read_in`; the offset is 0 or one that an entry named.
  func readDirectory(_ request: FuseRequest, _ replyLimit: Int) throws(HostError) -> FuseReply {
    let listing = try listing(request, replyLimit)
    var reply = FuseReply()
    for entry in listing.entries {
      guard reply.bytes.count + Self.paddedByteCount(entry) <= listing.limit else { break }
      append(entry, request.node, device: listing.device, to: &reply)
    }
    return try nonempty(reply, of: listing)
  }

  /// The same with a LOOKUP of each entry: `struct fuse_direntplus`.
  func readDirectoryPlus(
    _ request: FuseRequest, _ replyLimit: Int
  ) throws(HostError) -> FuseReply {
    let listing = try listing(request, replyLimit)
    let directory = try locateDirectory(request.node)
    var reply = FuseReply()
    for entry in listing.entries {
      let byteCount = Self.entryByteCount + Self.paddedByteCount(entry)
      guard reply.bytes.count + byteCount <= listing.limit else { break }
      appendLookup(of: entry, in: directory, request.node, to: &reply)
      append(entry, request.node, device: listing.device, to: &reply)
    }
    return try nonempty(reply, of: listing)
  }

  private struct Listing {
    var entries: [OpenFile.Entry]
    /// The directory's device.
    var device: UInt64
    /// The most bytes of the reply.
    var limit: Int
  }

  private func listing(
    _ request: FuseRequest, _ replyLimit: Int
  ) throws(HostError) -> Listing {
    var request = request
    let directory = try handle(try request.doubleWord(), of: request.node)
    let offset = try request.doubleWord()
    let wanted = Int(try request.word())
    guard directory.isDirectory else { throw .refused(ENOTDIR) }
    let node = state.withLock { $0.nodes.nodes[request.node] }
    let limit = min(FuseReply.headerByteCount + min(wanted, Self.mostBytes), replyLimit)
    return Listing(
      entries: try directory.entries(from: offset, byteCount: limit),
      device: node?.identity.device ?? 0, limit: limit)
  }

  /// No entry at all would say that the directory has ended.
  private func nonempty(_ reply: FuseReply, of listing: Listing) throws(HostError) -> FuseReply {
    guard reply.bytes.count > FuseReply.headerByteCount || listing.entries.isEmpty else {
      throw .refused(EINVAL)
    }
    return reply
  }

  private static func paddedByteCount(_ entry: OpenFile.Entry) -> Int {
    (entryHeaderByteCount + entry.name.count + 7) & ~7
  }

  /// `struct fuse_dirent`
  private func append(
    _ entry: OpenFile.Entry, _ directory: UInt64, device: UInt64, to reply: inout FuseReply
  ) {
    // What lies above the root is none of the guest's business.
    let isAbove = directory == NodeTable.root && entry.name == Array("..".utf8)
    reply.append(inode(isAbove ? root.identity.inode : entry.inode, device: device))
    reply.append(entry.nextPosition)
    reply.append(UInt32(truncatingIfNeeded: entry.name.count))
    reply.append(UInt32(entry.type))
    reply.append(entry.name)
    reply.align()
  }

  /// An entry that cannot be looked up, and `.` and `..`, come without.
  private func appendLookup(
    of entry: OpenFile.Entry, in directory: FileNode, _ number: UInt64, to reply: inout FuseReply
  ) {
    if let name = FileName(entry.name), let status = try? look(name, in: directory),
      (try? enter(status, at: .init(directory: number, name: name), in: &reply)) != nil
    {
      return
    }
    Self.appendNoEntry(seconds: 0, to: &reply)
  }
}
