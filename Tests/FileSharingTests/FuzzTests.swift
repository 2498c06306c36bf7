import Foundation
import HostSystem
import MartletTesting
import Testing

@testable import FileSharing

@Suite struct FuzzTests {
  private func populated() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try folder.makeDirectory("d")
    try folder.write("text", to: "a")
    try folder.write("more", to: "d/b")
    try folder.makeLink("l", to: "../outside/secret")
    return folder
  }

  /// Plausible bodies, from which mutations start.
  private func bodies(_ handle: UInt64, _ random: SeededEntropy) -> [[UInt8]] {
    let names = ["a", "d", "b", "l", "new", "..", "x/y", ""]
    func name() -> [UInt8] { Guest.name(names[Int(random.next() % 8)]) }
    let small = Guest.bytes(UInt64(random.next() % 4))
    return [
      name(), Guest.create(names[Int(random.next() % 5)], flags: UInt32(random.next() & 0xFFF)),
      Guest.read(handle, at: random.next() % 64), Guest.write(handle, "some text"),
      Guest.changes(UInt32(random.next() & 0xFFF), handle: handle, size: random.next() % 4096),
      small + name(), small + name() + name(), small + small + name() + name(),
      name() + name(), Guest.bytes(handle) + small + small + small + small + small,
      small + Guest.name("user.x") + Guest.bytes(random.next() % 8), small + small + small,
      Guest.bytes(handle) + Guest.bytes(random.next() % 65536) + Guest.bytes(random.next() % 65536)
        + small,
    ]
  }

  @Test func `random and mutated messages never trap, and reach nothing outside`() throws {
    let random = SeededEntropy(seed: 77)
    for round in 0..<6 {
      let folder = try populated()
      var options = SharingOptions()
      options.mostHeldNodes = 2
      options.mostOpenFiles = 8
      options.mostNodes = 64
      options.isReadOnly = round == 5
      let server = FuseServer(root: try folder.root(), options: options)
      for count in 0..<4000 {
        if count % 1000 == 999 { server.reset() }
        let body = bodies(1 + random.next() % 10, random)
        let operation = UInt32(random.next() % 53)
        var message = Guest.message(
          operation, node: 1 + random.next() % 12, unique: random.next(),
          body[Int(random.next() % UInt64(body.count))])
        // A changed length of ALLOCATE could fill the disk that the tests run on.
        switch operation == FuseOperation.allocate.rawValue ? 3 : random.next() % 4 {
        case 0:
          for _ in 0..<(1 + random.next() % 4) {
            let place = Int(random.next() % UInt64(message.count))
            message[place] = UInt8(truncatingIfNeeded: random.next())
          }
        case 1:
          message.removeLast(Int(random.next() % UInt64(message.count)))
          if random.next() % 2 == 0, message.count > 4 {
            message.replaceSubrange(0..<4, with: Guest.bytes(UInt32(message.count)))
          }
        default: break
        }
        let limit = random.next() % 3 == 0 ? Int(random.next() % 200) : 65536
        let reply = server.answer(message, replyLimit: limit)
        #expect(reply.count <= limit)
        #expect(reply.isEmpty || littleEndian(reply[0..<4]) == reply.count)
      }
      let counts = server.counts
      #expect(counts.nodes <= 64 && counts.open <= 8 && counts.held <= 2 + counts.open)
      let secret = try Data(contentsOf: URL(fileURLWithPath: folder.outside + "/secret"))
      #expect(secret == Data("secret".utf8))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.outside) == ["secret"])
      #expect(
        try Set(FileManager.default.contentsOfDirectory(atPath: folder.base))
          == ["shared", "outside"])
      if options.isReadOnly {
        #expect(try folder.read("a") == "text" && folder.read("d/b") == "more")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 3)
      }
    }
  }

  @Test func `messages of several threads at once never trap`() async throws {
    let folder = try populated()
    var options = SharingOptions()
    options.mostHeldNodes = 2
    options.mostOpenFiles = 8
    let server = FuseServer(root: try folder.root(), options: options)
    await withTaskGroup(of: Int.self) { group in
      for seed in 0..<4 {
        group.addTask {
          let random = SeededEntropy(seed: UInt64(seed))
          var answered = 0
          for _ in 0..<3000 {
            let body = self.bodies(1 + random.next() % 10, random)
            let message = Guest.message(
              UInt32(random.next() % 53), node: 1 + random.next() % 12, unique: 1,
              body[Int(random.next() % UInt64(body.count))])
            if !server.answer(message).isEmpty { answered += 1 }
          }
          return answered
        }
      }
      for await answered in group { #expect(answered > 1000) }
    }
    server.reset()
    #expect(server.counts == (nodes: 1, held: 0, open: 0))
  }

  @Test func `what holds no header or a wrong length is refused`() throws {
    let server = FuseServer(root: try populated().root())
    for message in [[], [UInt8](repeating: 0, count: 39), [UInt8](repeating: 9, count: 400)] {
      #expect(server.answer(message).count == 16)
      #expect(server.answer(message)[4] == UInt8(bitPattern: -22))
      #expect(server.answer(message, replyLimit: 15).isEmpty)
    }
    // FUSE_IOCTL, FUSE_FLUSH and FUSE_ACCESS: the guest's kernel does without.
    for operation: UInt32 in [39, 25, 34, 4096] {
      let reply = server.answer(Guest.message(operation, node: 1, unique: 5, []))
      #expect(Int32(truncatingIfNeeded: littleEndian(reply[4..<8])) == -ENOSYS)
    }
  }
}
