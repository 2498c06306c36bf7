import Foundation
import Martlet
import MartletTesting
import Testing

extension GuestBootTests {
  /// `Tests/GuestPrograms/floating-point.c`, compiled once, run on the host and in the guest. The C library
  /// chooses its functions by the processor's features: FMA and AVX2 must be there for both, or for none.
  @Test(
    .enabled(
      if: Guest.allArePresent && GuestProgram.canCompile,
      "needs the guests (Scripts/fetch-guests.sh) and a C compiler"))
  func `floating-point and vector programs give the host's results`() async throws {
    let program = try GuestProgram.compile("floating-point.c")
    defer { program.remove() }
    // AVX-512 and FMA4 are offered by no model.
    let expected = try program.runNatively(
      environment: ["GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA4,-AVX512F,-AVX512VL"])
    #expect(expected.count == 5 || expected.count == 10)
    let session = try await GuestSession.run(
      .cloudAmd64, script: "program", cpuCount: 1, initialRamdisk: program.initialRamdisk())
    #expect(session.reason == .poweredOff, "\(session.log.suffix(2000))")
    let found = session.log.split(whereSeparator: \.isNewline).map(String.init)
      .filter { $0.hasPrefix("floating-point:") }
    #expect(found == expected)
  }
}

/// A C program compiled for the guest and the host alike: static, so that both run the same bytes.
struct GuestProgram {
  private let directory: URL

  static let canCompile = FileManager.default.isExecutableFile(atPath: "/usr/bin/gcc")

  static func compile(_ source: String) throws -> GuestProgram {
    let directory = FileManager.default.temporaryDirectory
      .appending(path: "martlet-program-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    let program = GuestProgram(directory: directory)
    let file = root.appending(path: "Tests/GuestPrograms/\(source)").path()
    _ = try run(
      "/usr/bin/gcc", ["-O2", "-static", "-o", program.executable, file, "-lm"])
    return program
  }

  private var executable: String { directory.appending(path: "program").path() }

  func remove() { try? FileManager.default.removeItem(at: directory) }

  /// The lines it prints here.
  func runNatively(environment: [String: String]) throws -> [String] {
    try Self.run(executable, [], environment: environment)
      .split(whereSeparator: \.isNewline).map(String.init)
  }

  /// The small guest with the program in it, and with modules of the kernel.
  func initialRamdisk(of guest: Guest = .cloudAmd64, adding modules: [String] = []) throws -> URL {
    let image = directory.appending(path: "initramfs.cpio.gz")
    _ = try Self.run(
      Self.root.appending(path: "Scripts/build-initramfs.sh").path(),
      ["--output", image.path(), "--add", executable] + Self.additions(modules, of: guest)
        + ["amd64"])
    return image
  }

  private static func additions(_ modules: [String], of guest: Guest) -> [String] {
    let folder = guest.kernel.deletingLastPathComponent().appending(path: "modules")
    return modules.flatMap { ["--add", folder.appending(path: "\($0).ko").path()] }
  }

  /// The small guest with modules of its kernel in it.
  static func initialRamdisk(of guest: Guest, adding modules: [String]) throws -> URL {
    let image = FileManager.default.temporaryDirectory
      .appending(path: "martlet-modules-\(UUID().uuidString).cpio.gz")
    let architecture = guest.rawValue.hasPrefix("686") ? "i386" : "amd64"
    _ = try run(
      root.appending(path: "Scripts/build-initramfs.sh").path(),
      ["--output", image.path()] + additions(modules, of: guest) + [architecture])
    return image
  }

  /// The package's folder.
  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private struct ProgramFailure: Error {
    var command: String
    var status: Int32
  }

  private static func run(
    _ command: String, _ arguments: [String], environment: [String: String] = [:]
  ) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: command)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    let status = process.waitUntilEnded()
    guard status == 0 else { throw ProgramFailure(command: command, status: status) }
    return String(decoding: data, as: UTF8.self)
  }
}
