import ArgumentParser
import Foundation
import Martlet

struct NewCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "new",
    abstract: "Makes a machine: a directory with a disk, a kernel and a machine file.",
    subcommands: [NewDebianCommand.self])
}

struct NewDebianCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "debian", abstract: "Makes a Debian machine from Debian's packages.",
    discussion: """
      Needs root, mmdebstrap, e2fsprogs and a Debian mirror as apt is configured here. Boot it with \
      `martlet run DIRECTORY/machine.yaml`.
      """)

  @Argument(help: "The directory to make.", completion: .directory)
  var directory: String

  @Option(help: "Debian's release.")
  var suite = "bookworm"

  @Option(help: "The disk's size, for example 4G.", transform: MemorySize.argument)
  var size = MemorySize(4 << 30)

  @Option(help: "Further packages, with commas.")
  var packages: String?

  @Option(help: "The machine's name.")
  var hostname = "debian"

  @Option(help: "Root's password at the console.")
  var password = "martlet"

  @Option(
    help: "A public key that root logs in with by SSH (default: those in ~/.ssh).",
    completion: .file())
  var sshKey: String?

  func run() throws {
    do {
      try DebianBuilder(
        directory: directory, suite: suite, byteCount: size.byteCount,
        packages: packages.map { $0.split(separator: ",").map(String.init) } ?? [],
        hostname: hostname, password: password, keys: try authorizedKeys()
      ).build()
    } catch let error as DebianBuilder.Failure {
      report(error.description)
      throw ExitCode.failure
    }
  }

  private func authorizedKeys() throws -> String {
    guard sshKey == nil else {
      guard let sshKey, let key = try? String(contentsOfFile: sshKey, encoding: .utf8) else {
        throw ValidationError("the key \(self.sshKey ?? "") cannot be read: check the path")
      }
      return key
    }
    let directory = FileManager.default.homeDirectoryForCurrentUser.appending(path: ".ssh")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
    return names.filter { $0.hasSuffix(".pub") }.sorted()
      .compactMap { try? String(contentsOf: directory.appending(path: $0), encoding: .utf8) }
      .joined()
  }
}
