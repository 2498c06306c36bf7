import Foundation
import HostSystem
import Testing

@testable import FileSharing

@Suite struct FuseServerTests {
  private func initialization(major: UInt32 = 7, minor: UInt32, flags: UInt32 = .max) -> [UInt8] {
    Guest.bytes(major) + Guest.bytes(minor) + Guest.bytes(UInt32(131072)) + Guest.bytes(flags)
  }

  @Test func `a session begins with what both sides can do`() throws {
    let guest = try Guest(try TemporaryFolder())
    let answer = try guest.must(.initialize, 0, initialization(minor: 45))
    #expect(answer.body.count == 64)
    #expect(answer.number(0, 4) == 7)
    #expect(answer.number(4, 4) == 38)
    #expect(answer.number(12, 4) == UInt64(FuseFeatures.supported.rawValue))
    #expect(answer.number(20, 4) == 1 << 20)
    #expect(answer.number(28, 2) == 256)
    let older = try guest.must(.initialize, 0, initialization(minor: 31, flags: 0x8020))
    #expect(older.number(4, 4) == 31)
    #expect(older.number(12, 4) == 0x8020)
    #expect(guest.call(.initialize, 0, initialization(minor: 23))?.error == EPROTO)
    #expect(guest.call(.initialize, 0, initialization(major: 6, minor: 40))?.error == EPROTO)
    #expect(try guest.must(.initialize, 0, initialization(major: 8, minor: 0)).number(0, 4) == 7)
  }

  @Test func `a name has one node until it is forgotten as often as it was looked up`() throws {
    let folder = try TemporaryFolder()
    try folder.write("text", to: "a")
    let guest = try Guest(folder)
    let node = try guest.lookup("a").node
    #expect(try guest.lookup("a").node == node)
    #expect(guest.server.counts.nodes == 2)
    #expect(guest.call(.forget, node, Guest.bytes(UInt64(1))) == nil)
    #expect(try guest.attributes(node).size == 4)
    let pairs =
      Guest.bytes(node) + Guest.bytes(UInt64(1)) + Guest.bytes(UInt64(1)) + Guest.bytes(UInt64(9))
    #expect(guest.call(.batchForget, 0, Guest.bytes(UInt64(2)) + pairs) == nil)
    #expect(guest.server.counts.nodes == 1)
    #expect(guest.call(.getAttributes, node, [UInt8](repeating: 0, count: 16))?.error == ESTALE)
    // A number is never given twice.
    #expect(try guest.lookup("a").node > node)
  }

  @Test func `a name that is not there is told as such`() throws {
    let folder = try TemporaryFolder()
    let guest = try Guest(folder)
    let answer = try guest.lookup("nothing")
    #expect(answer.node == 0)
    #expect(answer.number(16, 8) == 1)
    var options = SharingOptions()
    options.cacheSeconds = 0
    let other = try Guest(folder, options)
    #expect(other.call(.lookup, Guest.name("nothing"))?.error == ENOENT)
  }

  @Test func `a file is made, written, read and closed`() throws {
    let folder = try TemporaryFolder()
    let guest = try Guest(folder)
    let made = try guest.must(.create, Guest.create("a"))
    let (node, handle) = (made.node, made.number(128, 8))
    #expect(made.attributes.mode == 0o100600)
    #expect(try guest.must(.write, node, Guest.write(handle, at: 2, "hello")).number(0, 4) == 5)
    #expect(try guest.must(.read, node, Guest.read(handle)).body == [0, 0] + Array("hello".utf8))
    #expect(try guest.must(.read, node, Guest.read(handle, at: 4, count: 2)).text == "ll")
    #expect(try guest.must(.read, node, limit: 19, Guest.read(handle, at: 2)).text == "hel")
    #expect(try guest.must(.read, node, Guest.read(handle, at: 1 << 62)).body == [])
    #expect(guest.call(.read, node, Guest.read(handle, at: .max))?.error == EINVAL)
    // At the end, wherever the guest thinks that is, unless it comes from its cache.
    _ = try guest.must(.write, node, Guest.write(handle, at: 0, "!", openFlags: 0o2002))
    _ = try guest.must(.write, node, Guest.write(handle, at: 0, "@", flags: 1, openFlags: 0o2002))
    #expect(try folder.read("a") == "@\0hello!")
    #expect(guest.call(.read, 1, Guest.read(handle))?.error == EBADF)
    #expect(guest.call(.write, node, Guest.write(handle, "x") + [0])?.error == EINVAL)
    let release = Guest.bytes(handle) + [UInt8](repeating: 0, count: 16)
    _ = try guest.must(.release, node, release)
    #expect(guest.call(.release, node, release)?.error == EBADF)
    #expect(guest.call(.read, node, Guest.read(handle))?.error == EBADF)
    #expect(guest.call(.create, Guest.create("a", flags: 0o202))?.error == EEXIST)
    #expect(try guest.must(.create, Guest.create("a", flags: 0o1002)).attributes.size == 0)
  }

  @Test func `an open file outlives its name`() throws {
    let folder = try TemporaryFolder()
    let guest = try Guest(folder)
    let made = try guest.must(.create, Guest.create("a"))
    let (node, handle) = (made.node, made.number(128, 8))
    _ = try guest.must(.write, node, Guest.write(handle, "text"))
    _ = try guest.must(.unlink, Guest.name("a"))
    #expect(try guest.attributes(node).links == 0)
    #expect(try guest.attributes(node, handle: handle).size == 4)
    let cut = try guest.must(.setAttributes, node, Guest.changes(1 << 3, size: 2))
    #expect(Guest.Attributes(start: 16, answer: cut).size == 2)
    #expect(try guest.must(.read, node, Guest.read(handle)).text == "te")
    #expect(guest.call(.forget, node, Guest.bytes(UInt64(1))) == nil)
    #expect(guest.server.counts.nodes == 2)
    _ = try guest.must(.release, node, Guest.bytes(handle) + Guest.bytes(UInt64(0)))
    #expect(guest.server.counts == (nodes: 1, held: 0, open: 0))
  }

  @Test func `a directory is read in portions of any size`() throws {
    let folder = try TemporaryFolder()
    let names = (0..<150).map { "file number \($0)" }
    for name in names { try folder.write("", to: name) }
    let guest = try Guest(folder)
    for (plus, count): (Bool, UInt32) in [(false, 48), (false, 1000), (true, 200), (true, 60000)] {
      let entries = try guest.entries(plus: plus, count: count)
      #expect(Set(entries.map(\.name)) == Set(names + [".", ".."]))
      #expect(entries.count == 152)
      for entry in entries {
        if entry.name == "." || entry.name == ".." {
          #expect(try entry.node == 0 && entry.inode == guest.attributes(1).inode)
        } else if plus {
          #expect(try guest.lookup(entry.name).node == entry.node)
        }
      }
    }
    let handle = try guest.openDirectory()
    #expect(guest.call(.readDirectory, Guest.read(handle, count: 8))?.error == EINVAL)
  }

  @Test func `renames keep nodes usable, exchanges too`() throws {
    let folder = try TemporaryFolder()
    try folder.makeDirectory("d")
    try folder.makeDirectory("e")
    try folder.write("x", to: "d/x")
    try folder.write("why", to: "y")
    let guest = try Guest(folder)
    let (directory, other) = (try guest.find("d"), try guest.find("e"))
    let (x, y) = (try guest.find("d/x"), try guest.find("y"))
    func rename(_ flags: UInt64, _ node: UInt64, _ name: String, to: UInt64, _ new: String)
      -> Int32?
    {
      let body = Guest.bytes(to) + Guest.bytes(flags) + Guest.name(name) + Guest.name(new)
      return guest.call(.rename2, node, body)?.error
    }
    #expect(rename(0, 1, "d", to: other, "f") == 0)
    #expect(try guest.attributes(x).size == 1)
    #expect(rename(2, directory, "x", to: 1, "y") == 0)
    #expect(try guest.attributes(x).size == 1)
    #expect(try guest.attributes(y).size == 3)
    #expect(try folder.read("y") == "x" && folder.read("e/f/x") == "why")
    #expect(rename(1, 1, "y", to: directory, "x") == EEXIST)
    #expect(rename(4, 1, "y", to: 1, "z") == EINVAL)
    #expect(rename(0, 1, "nothing", to: 1, "z") == ENOENT)
    #expect(rename(0, 1, "e", to: directory, "below") == EINVAL)
    let old = Guest.bytes(directory) + Guest.name("y") + Guest.name("x")
    #expect(guest.call(.rename, old)?.error == 0)
    #expect(try folder.read("e/f/x") == "x")
  }

  @Test func `ownership that may not be changed is not an error`() throws {
    let folder = try TemporaryFolder()
    try folder.write("x", to: "a")
    let guest = try Guest(folder)
    let node = try guest.find("a")
    let change = try guest.must(.setAttributes, node, Guest.changes(1 << 1 | 1 << 2, user: 1234))
    let user = Guest.Attributes(start: 16, answer: change).user
    #expect(user == (geteuid() == 0 ? 1234 : UInt64(geteuid())))
  }

  @Test(.enabled(if: geteuid() == 0)) func `new files can be given to the guest's users`() throws {
    let folder = try TemporaryFolder()
    var options = SharingOptions()
    options.givesFilesToGuestUsers = true
    let guest = try Guest(folder, options)
    #expect(try guest.must(.create, user: 77, Guest.create("a")).attributes.user == 77)
    let directory = Guest.bytes(UInt32(0o755)) + Guest.bytes(UInt32(0)) + Guest.name("d")
    #expect(try guest.must(.makeDirectory, user: 78, directory).attributes.group == 78)
    let link = Guest.name("l") + Guest.name("target")
    #expect(try guest.must(.symbolicLink, user: 79, link).attributes.user == 79)
    let ordinary = try Guest(folder)
    #expect(try ordinary.must(.create, user: 77, Guest.create("b")).attributes.user == 0)
  }

  @Test func `programs with their owner's rights are made only where that is allowed`() throws {
    let folder = try TemporaryFolder()
    let guest = try Guest(folder)
    #expect(try guest.must(.create, Guest.create("a", mode: 0o4700)).attributes.mode == 0o100700)
    let node = try guest.find("a")
    let change = try guest.must(.setAttributes, node, Guest.changes(1, mode: 0o6711))
    #expect(Guest.Attributes(start: 16, answer: change).mode == 0o100711)
    var options = SharingOptions()
    options.allowsSetUserID = true
    let other = try Guest(folder, options)
    let made = try other.must(.create, Guest.create("b", mode: 0o4700))
    #expect(made.attributes.mode == 0o104700)
    // FUSE_WRITE_KILL_SUIDGID
    let write = Guest.write(made.number(128, 8), "x", flags: 4)
    _ = try other.must(.write, made.node, write)
    #expect(try other.attributes(made.node).mode == 0o100700)
  }

  @Test func `limits of nodes and open files are answered, not exceeded`() throws {
    let folder = try TemporaryFolder()
    for number in 0..<20 { try folder.write("", to: "\(number)") }
    var options = SharingOptions()
    options.mostNodes = 9
    options.mostOpenFiles = 3
    let guest = try Guest(folder, options)
    var nodes: [UInt64] = []
    for number in 0..<8 { nodes.append(try guest.lookup("\(number)").node) }
    #expect(guest.call(.lookup, Guest.name("8"))?.error == ENFILE)
    // Entries of a directory come without a node then.
    #expect(try guest.entries(plus: true).count == 22)
    #expect(guest.call(.forget, nodes[0], Guest.bytes(UInt64(2))) == nil)
    for node in nodes[1...3] { _ = try guest.open(node) }
    let body = [UInt8](repeating: 0, count: 8)
    #expect(guest.call(.open, nodes[4], body)?.error == ENFILE)
    #expect(guest.call(.create, Guest.create("new"))?.error == ENFILE)
    guest.server.reset()
    #expect(guest.server.counts == (nodes: 1, held: 0, open: 0))
  }
}
