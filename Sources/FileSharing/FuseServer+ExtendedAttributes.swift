import Glibc
import HostSystem

/// Extended attributes, in the `user.` namespace.
extension FuseServer {
  /// `struct fuse_getxattr_in`
  func getExtendedAttribute(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let limit = try request.word()
    try request.skip(4)
    let name = try attributeName(&request)
    return try answer(try locate(request.node).attribute(name), limit)
  }

  func listExtendedAttributes(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let limit = try request.word()
    return try answer(try locate(request.node).attributeNames(), limit)
  }

  /// With a limit of 0 just the size is asked for: `struct fuse_getxattr_out`.
  private func answer(_ value: [UInt8], _ limit: UInt32) throws(HostError) -> FuseReply {
    var reply = FuseReply()
    if limit == 0 {
      reply.append(UInt32(truncatingIfNeeded: value.count))
      reply.append(UInt32(0))
    } else {
      guard value.count <= limit else { throw .refused(ERANGE) }
      reply.append(value)
    }
    return reply
  }

  /// `struct fuse_setxattr_in`, the short one.
  func setExtendedAttribute(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let byteCount = Int(try request.word())
    let flags = try request.word()
    let name = try attributeName(&request)
    try checkWritable()
    guard let rule = FileNode.AttributeRule(rawValue: Int32(truncatingIfNeeded: flags)),
      request.rest.count == byteCount
    else { throw .refused(EINVAL) }
    try locate(request.node).setAttribute(name, to: request.rest, rule)
    return FuseReply()
  }

  func removeExtendedAttribute(_ request: FuseRequest) throws(HostError) -> FuseReply {
    var request = request
    let name = try attributeName(&request)
    try checkWritable()
    try locate(request.node).removeAttribute(name)
    return FuseReply()
  }

  /// Attributes of other namespaces are refused here, so that not even a read-only folder tells of them.
  private func attributeName(_ request: inout FuseRequest) throws(HostError) -> AttributeName {
    let bytes = try request.string()
    guard bytes.count <= FileName.mostBytes else { throw .refused(ERANGE) }
    guard let name = AttributeName(bytes) else { throw .refused(EOPNOTSUPP) }
    return name
  }
}
