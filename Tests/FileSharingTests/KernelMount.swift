import FileSharing
import Foundation
import HostSystem
import MartletTesting

/// A folder that this host's own FUSE driver has mounted: requests come from the kernel, and go to a server.
final class KernelMount: Sendable {
  let path: String
  private let device: Int32
  private let threads: [HostThread]

  /// Whether this process may mount FUSE file systems.
  static var isPossible: Bool { geteuid() == 0 && access("/dev/fuse", R_OK | W_OK) == 0 }

  init(_ server: FuseServer, at path: String) throws {
    self.path = path
    let device = open("/dev/fuse", O_RDWR | O_CLOEXEC)
    guard device >= 0 else { throw HostError.current("open") }
    self.device = device
    let settings =
      "fd=\(device),rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
    guard mount("martlet", path, "fuse.martlet", 6, settings) == 0 else {
      throw HostError.current("mount")
    }
    threads = try (0..<3).map { _ in
      try HostThread(name: "fuse", stackByteCount: 1 << 20) { Self.serve(device, server) }
    }
  }

  private static func serve(_ device: Int32, _ server: FuseServer) {
    var buffer = [UInt8](repeating: 0, count: FuseServer.mostMessageBytes)
    while true {
      let count = read(device, &buffer, buffer.count)
      if count < 0 && (errno == EINTR || errno == ENOENT) { continue }
      guard count > 0 else { return }
      let reply = server.answer(Array(buffer[..<count]))
      if !reply.isEmpty { _ = write(device, reply, reply.count) }
    }
  }

  func unmount() {
    umount2(path, Int32(MNT_DETACH))
    for thread in threads { thread.join() }
    close(device)
  }

  /// Runs a shell script in the mounted folder; returns what it printed, and its status.
  func run(_ script: String) throws -> (output: String, status: Int32) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", "cd \"$0\" && exec 2>&1; set -eu\n" + script, path]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    return (String(decoding: output, as: UTF8.self), process.waitUntilEnded())
  }
}
