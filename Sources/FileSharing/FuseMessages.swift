import Glibc
import HostSystem

extension HostError {
  /// The server itself says no.
  static func refused(_ errno: Int32) -> HostError { HostError(call: "request", errno: errno) }
}

/// A request: `struct fuse_in_header` and what follows it, read in order, all little-endian.
struct FuseRequest {
  static let headerByteCount = 40

  let operation: UInt32
  /// What the answer is known by.
  let unique: UInt64
  let node: UInt64
  /// Who asks, in the guest.
  let user: UInt32
  let group: UInt32
  private var body: ArraySlice<UInt8>

  /// `nil` if the bytes do not even hold a header, or its length is not theirs.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= Self.headerByteCount else { return nil }
    body = bytes[...]
    guard let length = Self.take(4, from: &body), length == bytes.count,
      let operation = Self.take(4, from: &body), let unique = Self.take(8, from: &body),
      let node = Self.take(8, from: &body), let user = Self.take(4, from: &body),
      let group = Self.take(4, from: &body), Self.take(4, from: &body) != nil,
      let extensionLength = Self.take(2, from: &body), Self.take(2, from: &body) != nil,
      8 * Int(extensionLength) <= body.count
    else { return nil }
    body = body.dropLast(8 * Int(extensionLength))
    self.operation = UInt32(operation)
    self.unique = unique
    self.node = node
    self.user = UInt32(user)
    self.group = UInt32(group)
  }

  private static func take(_ count: Int, from bytes: inout ArraySlice<UInt8>) -> UInt64? {
    guard bytes.count >= count else { return nil }
    let value = bytes.prefix(count).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    bytes = bytes.dropFirst(count)
    return value
  }

  private mutating func take(_ count: Int) throws(HostError) -> UInt64 {
    guard let value = Self.take(count, from: &body) else { throw .refused(EINVAL) }
    return value
  }

  mutating func word() throws(HostError) -> UInt32 { UInt32(truncatingIfNeeded: try take(4)) }
  mutating func doubleWord() throws(HostError) -> UInt64 { try take(8) }

  /// Passes over what does not matter, or padding.
  mutating func skip(_ count: Int) throws(HostError) {
    guard body.count >= count else { throw .refused(EINVAL) }
    body = body.dropFirst(count)
  }

  /// What is left, all of it.
  var rest: ArraySlice<UInt8> { body }

  /// The bytes up to a NUL, which is passed over.
  mutating func string() throws(HostError) -> ArraySlice<UInt8> {
    guard let end = body.firstIndex(of: 0) else { throw .refused(EINVAL) }
    let string = body[..<end]
    body = body[(end + 1)...]
    return string
  }

  /// A name within a directory.
  mutating func name() throws(HostError) -> FileName {
    let bytes = try string()
    guard bytes.count <= FileName.mostBytes else { throw .refused(ENAMETOOLONG) }
    guard let name = FileName(bytes) else { throw .refused(EINVAL) }
    return name
  }
}

/// An answer: `struct fuse_out_header` and what follows it.
struct FuseReply {
  static let headerByteCount = 16

  private(set) var bytes: [UInt8]

  init() { bytes = [UInt8](repeating: 0, count: Self.headerByteCount) }

  /// Takes bytes that begin with room for the header.
  init(withRoom bytes: [UInt8]) { self.bytes = bytes }

  static func error(_ errno: Int32, unique: UInt64) -> [UInt8] {
    FuseReply().finished(unique: unique, error: errno)
  }

  /// All bytes, with the header.
  consuming func finished(unique: UInt64, error: Int32 = 0) -> [UInt8] {
    var reply = self
    reply.put(UInt64(reply.bytes.count), 4, at: 0)
    reply.put(UInt64(bitPattern: -Int64(error)), 4, at: 4)
    reply.put(unique, 8, at: 8)
    return reply.bytes
  }

  private mutating func put(_ value: UInt64, _ count: Int, at offset: Int) {
    for index in 0..<count {
      bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
    }
  }

  mutating func append(_ value: UInt16) { append(UInt64(value), 2) }
  mutating func append(_ value: UInt32) { append(UInt64(value), 4) }
  mutating func append(_ value: UInt64) { append(value, 8) }
  mutating func append(_ values: some Sequence<UInt8>) { bytes += values }

  private mutating func append(_ value: UInt64, _ count: Int) {
    for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
  }

  /// Zeroes, up to a multiple of eight bytes.
  mutating func align() {
    while bytes.count % 8 != 0 { bytes.append(0) }
  }
}

extension FuseReply {
  /// `struct fuse_attr`
  mutating func append(_ status: FileStatus, inode: UInt64) {
    append(inode)
    append(status.byteCount)
    append(status.blockCount)
    for time in [status.accessed, status.modified, status.changed] {
      append(UInt64(bitPattern: time.seconds))
    }
    for time in [status.accessed, status.modified, status.changed] { append(time.nanoseconds) }
    append(status.mode)
    append(status.linkCount)
    append(status.user)
    append(status.group)
    append(status.specialDevice)
    append(status.preferredByteCount)
    append(UInt32(0))
  }
}
