private import CHost
private import Glibc

/// Extended attributes, of regular files and directories.
extension FileNode {
  /// How an attribute is set (XATTR_CREATE, XATTR_REPLACE).
  public enum AttributeRule: Int32, Sendable {
    case any = 0
    case create = 1
    case replace = 2
  }

  /// The most bytes of an attribute's value, and of a list of names (XATTR_SIZE_MAX).
  private static var mostBytes: Int { 65536 }

  /// - Throws: `ENODATA` if there is no such attribute, `EOPNOTSUPP` for files of other types.
  public func attribute(_ name: AttributeName) throws(HostError) -> [UInt8] {
    try checkSupport()
    return try read("getxattr") { buffer, count in
      name.withCharacters { unsafe chost_folder_get_attribute(descriptor, $0, buffer, count) }
    }
  }

  /// The names of this namespace, each ended by a NUL.
  public func attributeNames() throws(HostError) -> [UInt8] {
    guard kind == .regular || kind == .directory else { return [] }
    let all = try read("listxattr") { buffer, count in
      unsafe chost_folder_list_attributes(
        descriptor, buffer?.assumingMemoryBound(to: CChar.self), count)
    }
    return all.split(separator: 0).filter { AttributeName($0) != nil }.flatMap { Array($0) + [0] }
  }

  public func setAttribute(
    _ name: AttributeName, to value: ArraySlice<UInt8>, _ rule: AttributeRule
  ) throws(HostError) {
    try checkSupport()
    let result = name.withCharacters { characters in
      unsafe value.withUnsafeBytes { bytes in
        // SAFETY: pointer and count describe the same buffer, for the length of the call.
        unsafe chost_folder_set_attribute(
          descriptor, characters, bytes.baseAddress, bytes.count, rule.rawValue)
      }
    }
    guard result == 0 else { throw .current("setxattr") }
  }

  public func removeAttribute(_ name: AttributeName) throws(HostError) {
    try checkSupport()
    let result = name.withCharacters { unsafe chost_folder_remove_attribute(descriptor, $0) }
    guard result == 0 else { throw .current("removexattr") }
  }

  private func checkSupport() throws(HostError) {
    guard kind == .regular || kind == .directory else {
      throw HostError(call: "xattr", errno: EOPNOTSUPP)
    }
  }

  @safe private func read(
    _ call: String, _ body: (UnsafeMutableRawPointer?, Int) -> Int
  ) throws(HostError) -> [UInt8] {
    var count = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: Self.mostBytes) { buffer, initialized in
      // SAFETY: the buffer has room for that many bytes, of which the call initializes `count`.
      count = unsafe body(buffer.baseAddress, Self.mostBytes)
      initialized = max(0, count)
    }
    guard count >= 0 else { throw .current(call) }
    return bytes
  }
}
