import Foundation
import HostSystem
import Testing

@testable import FileSharing

/// Attempts to get out of the shared folder.
@Suite struct EscapeTests {
  @Test func `no name leads up or along a path`() throws {
    let folder = try TemporaryFolder()
    try folder.makeDirectory("d")
    let guest = try Guest(folder)
    let directory = try guest.find("d")
    for name in ["..", ".", "", "../outside", "d/..", "/etc/passwd", "../outside/secret"] {
      for node in [1, directory] {
        #expect(guest.call(.lookup, node, Guest.name(name))?.error == EINVAL)
        #expect(guest.call(.create, node, Guest.create(name))?.error == EINVAL)
        #expect(guest.call(.unlink, node, Guest.name(name))?.error == EINVAL)
        let move = Guest.bytes(UInt64(1)) + Guest.name("d") + Guest.name(name)
        #expect(guest.call(.rename, node, move)?.error == EINVAL)
        let link = Guest.bytes(directory) + Guest.name(name)
        #expect(guest.call(.link, node, link)?.error == EINVAL)
      }
    }
    let long = String(repeating: "x", count: 256)
    #expect(guest.call(.lookup, Guest.name(long))?.error == ENAMETOOLONG)
    #expect(guest.call(.lookup, Array("without end".utf8))?.error == EINVAL)
  }

  @Test func `links are read and never followed`() throws {
    let folder = try TemporaryFolder()
    try folder.makeLink("up", to: "../outside")
    try folder.makeLink("absolute", to: folder.outside)
    try folder.makeLink("file", to: folder.outside + "/secret")
    try folder.makeLink("dangling", to: folder.outside + "/new")
    let guest = try Guest(folder)
    for name in ["up", "absolute", "file", "dangling"] {
      let node = try guest.find(name)
      #expect(try guest.attributes(node).mode & 0o170000 == 0o120000)
      #expect(try guest.must(.readLink, node).text.contains("outside"))
      let flags = [UInt8](repeating: 0, count: 8)
      #expect(guest.call(.open, node, flags)?.error == ELOOP)
      #expect(guest.call(.openDirectory, node, flags)?.error == ENOTDIR)
      #expect(guest.call(.lookup, node, Guest.name("secret"))?.error == ENOTDIR)
      #expect(guest.call(.create, node, Guest.create("new"))?.error == ENOTDIR)
      #expect(guest.call(.create, Guest.create(name))?.error == EEXIST)
      #expect(guest.call(.create, Guest.create(name, flags: 0o1002))?.error == EEXIST)
      let mode = guest.call(.setAttributes, node, Guest.changes(1, mode: 0o777))
      #expect(mode?.error == EOPNOTSUPP)
      let size = guest.call(.setAttributes, node, Guest.changes(1 << 3, size: 0))
      #expect(size?.error == ELOOP)
      // The link itself gets another name.
      let link = Guest.bytes(node) + Guest.name("second " + name)
      #expect(try guest.must(.link, 1, link).attributes.mode & 0o170000 == 0o120000)
    }
    let secret = try Data(contentsOf: URL(fileURLWithPath: folder.outside + "/secret"))
    #expect(secret == Data("secret".utf8))
    #expect(!FileManager.default.fileExists(atPath: folder.outside + "/new"))
  }

  @Test func `fifos, sockets and devices are never opened, and devices never made`() throws {
    let folder = try TemporaryFolder()
    let guest = try Guest(folder)
    func make(_ mode: UInt32, _ name: String) -> Guest.Answer? {
      let body = Guest.bytes(mode) + Guest.bytes(UInt32(0x103)) + Guest.bytes(UInt64(0))
      return guest.call(.makeNode, body + Guest.name(name))
    }
    #expect(make(0o020666, "character")?.error == EPERM)
    #expect(make(0o060666, "block")?.error == EPERM)
    #expect(make(0o040777, "directory")?.error == EPERM)
    #expect(make(0o010644, "fifo")?.error == 0)
    #expect(make(0o140644, "socket")?.error == 0)
    #expect(make(0o100644, "regular")?.error == 0)
    var names = ["fifo", "socket"]
    if mknod(folder.path + "/null", 0o020666, 0x103) == 0 { names.append("null") }
    for name in names {
      let node = try guest.find(name)
      for flags: UInt32 in [0, 1, 2] {
        let body = Guest.bytes(flags) + Guest.bytes(UInt32(0))
        #expect(guest.call(.open, node, body)?.error == ENXIO)
      }
      #expect(guest.call(.create, Guest.create(name, flags: 0))?.error == EEXIST)
      let size = guest.call(.setAttributes, node, Guest.changes(1 << 3, size: 0))
      #expect(size?.error == ENXIO)
    }
  }

  /// What a host user does with the folder's parts while the guest walks through them.
  @Test(.timeLimit(.minutes(2)))
  func `renames during a walk lead nowhere else`() throws {
    let folder = try TemporaryFolder()
    let manager = FileManager.default
    // `a/b/secret` says where it is: within. Outside there is a directory of the same shape.
    try folder.makeDirectory("a")
    try folder.makeDirectory("a/b")
    try folder.write("inside", to: "a/b/secret")
    try manager.createDirectory(
      atPath: folder.outside + "/b", withIntermediateDirectories: false)
    try Data("stolen".utf8).write(to: URL(fileURLWithPath: folder.outside + "/b/secret"))

    let isDone = Monitor(false)
    let disturbance = try HostThread(name: "renames") {
      while !isDone.withLock({ $0 }) {
        // A directory gives way to a link out, and comes back, at both levels.
        for (path, target) in [("/a", folder.outside), ("/a/b", folder.outside + "/b")] {
          rename(folder.path + path, folder.path + "/away")
          symlink(target, folder.path + path)
          unlink(folder.path + path)
          rename(folder.path + "/away", folder.path + path)
        }
      }
    }
    var options = SharingOptions()
    options.mostHeldNodes = 1
    let guest = try Guest(folder, options)
    var (successes, failures) = (0, 0)
    for _ in 0..<20_000 {
      do {
        let node = try guest.find("a/b/secret")
        let handle = try guest.open(node)
        let text = try guest.must(.read, node, Guest.read(handle)).text
        _ = try guest.must(.release, node, Guest.bytes(handle) + Guest.bytes(UInt64(0)))
        #expect(text == "inside")
        successes += 1
      } catch {
        failures += 1
      }
    }
    isDone.withLock { $0 = true }
    disturbance.join()
    #expect(successes > 0)
    #expect(failures > 0)
  }

  @Test(.enabled(if: geteuid() == 0 && access("/proc/self/mem", F_OK) == 0))
  func `the kernel's own file systems are not shared`() throws {
    let guest = Guest(server: FuseServer(root: try FileNode(directory: "/")))
    #expect(guest.call(.lookup, Guest.name("proc"))?.error == EACCES)
    #expect(guest.call(.lookup, Guest.name("proc"))?.error == EACCES)
    let entries = try guest.entries(plus: true, count: 65536)
    #expect(entries.first { $0.name == "proc" }?.node == 0)
    let device = try guest.find("dev")
    #expect(device > 1)
    // Other file systems' inodes get numbers of their own.
    #expect(try guest.attributes(device).inode != guest.attributes(1).inode)
  }

  @Test func `a file that took another's place is not taken for it`() throws {
    let folder = try TemporaryFolder()
    try folder.write("one", to: "a")
    var options = SharingOptions()
    options.cacheSeconds = 0
    let guest = try Guest(folder, options)
    let node = try guest.find("a")
    try FileManager.default.removeItem(atPath: folder.path + "/a")
    #expect(guest.call(.open, node, Guest.bytes(UInt64(0)))?.error == ESTALE)
    try folder.write("other", to: "b")
    try folder.write("two", to: "a")
    #expect(guest.call(.open, node, Guest.bytes(UInt64(0)))?.error == ESTALE)
    #expect(guest.call(.getAttributes, node, [UInt8](repeating: 0, count: 16))?.error == ESTALE)
    let new = try guest.find("a")
    #expect(new != node)
    let handle = try guest.open(new)
    #expect(try guest.must(.read, new, Guest.read(handle)).text == "two")
  }
}
