import HostSystem

@testable import FileSharing

/// A guest's half of the protocol: makes messages and takes answers apart.
final class Guest {
  let server: FuseServer
  private var unique: UInt64 = 0

  struct Answer {
    var error: Int32
    var body: [UInt8]

    /// A number at a byte of the body.
    func number(_ offset: Int, _ count: Int) -> UInt64 {
      guard offset + count <= body.count else { return .max }
      return littleEndian(body[offset..<(offset + count)])
    }

    var node: UInt64 { number(0, 8) }
    /// Of an answer that begins with `struct fuse_entry_out`.
    var attributes: Attributes { Attributes(start: 40, answer: self) }
    var text: String { String(decoding: body, as: UTF8.self) }
  }

  /// `struct fuse_attr`
  struct Attributes {
    var start: Int
    var answer: Answer
    var inode: UInt64 { answer.number(start, 8) }
    var size: UInt64 { answer.number(start + 8, 8) }
    var mode: UInt64 { answer.number(start + 60, 4) }
    var links: UInt64 { answer.number(start + 64, 4) }
    var user: UInt64 { answer.number(start + 68, 4) }
    var group: UInt64 { answer.number(start + 72, 4) }
  }

  init(server: FuseServer) { self.server = server }

  convenience init(
    _ folder: TemporaryFolder, _ options: SharingOptions = SharingOptions()
  ) throws {
    self.init(server: FuseServer(root: try folder.root(), options: options))
  }

  static func message(
    _ operation: UInt32, node: UInt64, unique: UInt64, user: UInt32 = 0, _ body: [UInt8]
  ) -> [UInt8] {
    bytes(UInt32(40 + body.count)) + bytes(operation) + bytes(unique) + bytes(node) + bytes(user)
      + bytes(user) + bytes(UInt32(1)) + bytes(UInt32(0)) + body
  }

  /// Sends a message; the answer, whose header is checked, or `nil` if there is none.
  func call(
    _ operation: FuseOperation, _ node: UInt64, user: UInt32 = 0, limit: Int = 1 << 20,
    _ body: [UInt8] = []
  ) -> Answer? {
    unique += 1
    let reply = server.answer(
      Self.message(operation.rawValue, node: node, unique: unique, user: user, body),
      replyLimit: limit)
    if reply.isEmpty { return nil }
    precondition(reply.count >= 16 && reply.count <= limit)
    precondition(littleEndian(reply[0..<4]) == reply.count)
    precondition(littleEndian(reply[8..<16]) == unique)
    let error = -Int32(truncatingIfNeeded: littleEndian(reply[4..<8]))
    precondition(error == 0 || reply.count == 16)
    return Answer(error: error, body: Array(reply[16...]))
  }

  func must(
    _ operation: FuseOperation, _ node: UInt64, user: UInt32 = 0, limit: Int = 1 << 20,
    _ body: [UInt8] = []
  ) throws -> Answer {
    guard let answer = call(operation, node, user: user, limit: limit, body) else {
      throw HostError(call: "answer", errno: 0)
    }
    guard answer.error == 0 else { throw HostError(call: "\(operation)", errno: answer.error) }
    return answer
  }

  /// The same for the root.
  func call(_ operation: FuseOperation, _ body: [UInt8]) -> Answer? { call(operation, 1, body) }

  func must(
    _ operation: FuseOperation, user: UInt32 = 0, _ body: [UInt8]
  ) throws -> Answer {
    try must(operation, 1, user: user, body)
  }

  // MARK: Messages

  func lookup(_ name: String, in node: UInt64 = 1) throws -> Answer {
    try must(.lookup, node, Self.name(name))
  }

  /// Follows several names.
  func find(_ path: String) throws -> UInt64 {
    try path.split(separator: "/").reduce(1) { try lookup(String($1), in: $0).node }
  }

  func attributes(_ node: UInt64, handle: UInt64? = nil) throws -> Attributes {
    let body = Self.bytes(UInt64(handle == nil ? 0 : 1)) + Self.bytes(handle ?? 0)
    return Attributes(start: 16, answer: try must(.getAttributes, node, body))
  }

  func open(_ node: UInt64, flags: UInt32 = 0) throws -> UInt64 {
    try must(.open, node, Self.bytes(flags) + Self.bytes(UInt32(0))).number(0, 8)
  }

  func openDirectory(_ node: UInt64 = 1) throws -> UInt64 {
    try must(.openDirectory, node, Self.bytes(UInt64(0))).number(0, 8)
  }

  static func create(_ name: String, flags: UInt32 = 2, mode: UInt32 = 0o600) -> [UInt8] {
    bytes(flags) + bytes(0o100000 | mode) + bytes(UInt32(0)) + bytes(UInt32(0)) + self.name(name)
  }

  static func read(
    _ handle: UInt64, at offset: UInt64 = 0, count: UInt32 = 4096
  ) -> [UInt8] {
    bytes(handle) + bytes(offset) + bytes(count) + [UInt8](repeating: 0, count: 20)
  }

  static func write(
    _ handle: UInt64, at offset: UInt64 = 0, _ text: String, flags: UInt32 = 0,
    openFlags: UInt32 = 0
  ) -> [UInt8] {
    bytes(handle) + bytes(offset) + bytes(UInt32(text.utf8.count)) + bytes(flags)
      + bytes(UInt64(0)) + bytes(openFlags) + bytes(UInt32(0)) + Array(text.utf8)
  }

  /// `struct fuse_setattr_in`
  static func changes(
    _ valid: UInt32, handle: UInt64 = 0, size: UInt64 = 0, mode: UInt32 = 0, user: UInt32 = 0
  ) -> [UInt8] {
    bytes(UInt64(valid)) + bytes(handle) + bytes(size) + [UInt8](repeating: 0, count: 32)
      + [UInt8](repeating: 0, count: 12) + bytes(mode) + bytes(UInt32(0)) + bytes(user)
      + bytes(user) + bytes(UInt32(0))
  }

  static func name(_ name: String) -> [UInt8] { Array(name.utf8) + [0] }

  static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
    (0..<(value.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  struct Entry: Equatable {
    /// 0 where there was no lookup with it.
    var node: UInt64
    var inode: UInt64
    var next: UInt64
    var name: String
  }

  /// All entries of a directory, taken in portions of at most `count` bytes.
  func entries(_ node: UInt64 = 1, plus: Bool = false, count: UInt32 = 4096) throws -> [Entry] {
    let handle = try openDirectory(node)
    var entries: [Entry] = []
    while true {
      let body = Self.read(handle, at: entries.last?.next ?? 0, count: count)
      let part = try must(plus ? .readDirectoryPlus : .readDirectory, node, body)
      if part.body.isEmpty { break }
      var offset = 0
      while offset < part.body.count {
        let node = plus ? part.number(offset, 8) : 0
        if plus { offset += 128 }
        let length = Int(part.number(offset + 16, 4))
        let name = part.body[(offset + 24)..<(offset + 24 + length)]
        entries.append(
          Entry(
            node: node, inode: part.number(offset, 8), next: part.number(offset + 8, 8),
            name: String(decoding: name, as: UTF8.self)))
        offset += (24 + length + 7) & ~7
      }
    }
    _ = try must(.releaseDirectory, node, Self.bytes(handle) + Self.bytes(UInt64(0)))
    return entries
  }
}

func littleEndian(_ bytes: some BidirectionalCollection<UInt8>) -> UInt64 {
  bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
}
