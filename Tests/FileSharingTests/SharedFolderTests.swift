import FileSharing
import Foundation
import HostSystem
import Synchronization
import Testing

@Suite struct SharedFolderTests {
  @Test func `requests are answered on threads of its own, all of them before it closes`() throws {
    let folder = try TemporaryFolder()
    let shared = try SharedFolder(path: folder.path)
    let answers = Mutex<[UInt64: Int]>([:])
    let isHere = pthread_self()
    for unique in 0..<UInt64(200) {
      let message = Guest.message(1, node: 1, unique: unique, Guest.name("nothing"))
      shared.submit(message, replyLimit: 4096) { reply in
        #expect(pthread_equal(isHere, pthread_self()) == 0)
        answers.withLock { $0[littleEndian(reply[8..<16])] = reply.count }
      }
    }
    shared.close()
    #expect(
      answers.withLock { $0 } == Dictionary(uniqueKeysWithValues: (0..<200).map { ($0, 144) }))
  }

  @Test func `new files get the permissions that the guest names`() throws {
    // The process's own mask, 022 as a rule, does not count.
    let folder = try TemporaryFolder()
    let shared = try SharedFolder(path: folder.path)
    shared.submit(
      Guest.message(35, node: 1, unique: 1, Guest.create("a", mode: 0o666)), replyLimit: 4096
    ) { _ in }
    shared.close()
    let attributes = try FileManager.default.attributesOfItem(atPath: folder.path + "/a")
    #expect(attributes[.posixPermissions] as? Int == 0o666)
  }

  @Test(.timeLimit(.minutes(1)))
  func `a reset does not wait for completions, which may wait for its caller`() throws {
    let folder = try TemporaryFolder()
    let shared = try SharedFolder(path: folder.path)
    // The lock of a device, which the reset comes from and the completions go to.
    let device = Mutex(0)
    device.withLock { _ in
      for unique in 0..<UInt64(100) {
        let message = Guest.message(1, node: 1, unique: unique, Guest.name("nothing"))
        shared.submit(message, replyLimit: 4096) { _ in device.withLock { $0 += 1 } }
      }
      shared.reset()
    }
    shared.close()
    // As many as there are threads were on their way, at most.
    #expect(device.withLock { $0 } <= 4)
  }

  @Test func `what is no directory cannot be shared`() throws {
    let folder = try TemporaryFolder()
    try folder.write("", to: "file")
    #expect(throws: HostError(call: "open", errno: ENOTDIR)) {
      try SharedFolder(path: folder.path + "/file")
    }
    #expect(throws: HostError(call: "open", errno: ENOENT)) {
      try SharedFolder(path: folder.path + "/nothing")
    }
  }
}
