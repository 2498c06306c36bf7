import DeviceModel
import Foundation
import HostSystem
import MartletTesting
import Synchronization
import Testing

@testable import DiskImages

/// A program of this host's, if it is there.
func program(_ name: String) -> String? {
  (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin").split(separator: ":")
    .map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
}

/// A server on a Unix socket, which ends with its test.
final class NBDTestServer {
  let directory: URL
  var socket: String { directory.appending(path: "socket").path() }
  private var process: Process?
  private let words: [String]

  /// - Parameter words: the command; `SOCKET` stands for the socket's path.
  init(_ words: [String]) throws {
    directory = FileManager.default.temporaryDirectory
      .appending(path: "martlet-nbd-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    self.words = words
    try start()
  }

  func start() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(program(words[0])))
    process.arguments = words.dropFirst().map {
      $0.replacingOccurrences(of: "SOCKET", with: socket)
    }
    process.standardInput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    self.process = process
    for _ in 0..<1000 where !isListening { usleep(10_000) }
  }

  /// The socket's file is there a moment before it takes connections; and one to try would be one that some servers end
  /// with. The kernel's list says it by a flag (SO_ACCEPTCON).
  private var isListening: Bool {
    let list = (try? String(contentsOfFile: "/proc/net/unix", encoding: .utf8)) ?? ""
    return list.split(separator: "\n").contains {
      $0.hasSuffix(" \(socket)") && $0.split(separator: " ")[3] == "00010000"
    }
  }

  func kill() {
    guard let process else { return }
    Foundation.kill(process.processIdentifier, SIGKILL)
    process.waitUntilEnded()
    try? FileManager.default.removeItem(atPath: socket)
    self.process = nil
  }

  deinit {
    kill()
    try? FileManager.default.removeItem(at: directory)
  }

  var server: NBDServer { .address("nbd+unix:///?socket=\(socket)") }
}

private func perform(
  _ disk: any BlockBackend, _ request: BlockRequest
) async -> Result<Void, BlockError> {
  await withCheckedContinuation { continuation in
    disk.submit(request) { continuation.resume(returning: $0) }
  }
}

private let hasNBDKit = program("nbdkit") != nil
private let hasQEMU = program("qemu-nbd") != nil && program("qemu-img") != nil

@Suite struct NBDTests {
  @Test(.enabled(if: hasQEMU, "needs qemu-nbd: install qemu-utils"), arguments: [1, 4])
  func `a remote disk does what a local one does`(shared: Int) async throws {
    let size = 8 << 20
    let scratch = try ScratchFile(byteCount: size)
    let server = try NBDTestServer([
      "qemu-nbd", "-k", "SOCKET", "-f", "raw", "--shared=\(shared)", "--persistent", scratch.path,
    ])
    let disk = try NBDImage(server.server)
    #expect(disk.byteCount == UInt64(size))
    #expect(disk.connectionCount == shared)
    #expect(!disk.isReadOnly && disk.canDiscard)
    var random = Generator(state: 3)
    var model = [UInt8](repeating: 0, count: size)
    for _ in 0..<8 {
      let tracker = Tracker()
      var position = 0
      var reads: [(MemorySegments, Range<Int>)] = []
      var submissions: [BlockSubmission] = []
      while position < size {
        let range = position..<min(size, position + 512 * (1 + random.next(below: 1000)))
        position = range.upperBound + 512 * random.next(below: 500)
        switch random.next(below: 6) {
        case 0, 1:
          let buffer = Runs.buffer(of: range.count, &random)
          reads.append((buffer, range))
          submissions.append(
            tracker.submission(.read(offset: UInt64(range.lowerBound), into: buffer)))
        case 2, 3:
          let buffer = Runs.buffer(of: range.count, &random)
          let bytes = (0..<range.count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
          buffer.write(bytes)
          model.replaceSubrange(range, with: bytes)
          submissions.append(
            tracker.submission(
              .write(
                offset: UInt64(range.lowerBound), from: buffer,
                isDurable: random.next(below: 3) == 0)))
        case 4:
          model.replaceSubrange(range, with: repeatElement(0, count: range.count))
          submissions.append(
            tracker.submission(
              .writeZeroes(
                offset: UInt64(range.lowerBound), byteCount: UInt64(range.count),
                mayUnmap: random.next(below: 2) == 0)))
        default: submissions.append(tracker.submission(.flush))
        }
      }
      let before = model
      disk.submit(submissions)
      for result in await tracker.results() { try result.get() }
      for (buffer, range) in reads { #expect(buffer.bytes() == Array(before[range])) }
    }
    try await perform(disk, .discard(offset: 0, byteCount: 65_536)).get()
    try disk.close()
    #expect(
      Array([UInt8](try Data(contentsOf: scratch.url))[65_536...]) == Array(model[65_536...]))
  }

  @Test(.enabled(if: hasNBDKit, "needs nbdkit"))
  func `requests larger than the server takes are cut`() async throws {
    let server = try NBDTestServer([
      "nbdkit", "-f", "-U", "SOCKET", "--filter=blocksize-policy", "memory", "8M",
      "blocksize-minimum=4096", "blocksize-maximum=65536", "blocksize-preferred=65536",
      "blocksize-error-policy=error",
    ])
    let disk = try NBDImage(server.server)
    #expect(disk.blockByteCount == 4096)
    let bytes = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 9) }
    let buffer = MemorySegments(zeroed: bytes.count)
    buffer.write(bytes)
    try await perform(disk, .write(offset: 4096, from: buffer, isDurable: true)).get()
    buffer.clear(from: 0, count: bytes.count)
    try await perform(disk, .read(offset: 4096, into: buffer)).get()
    #expect(buffer.bytes() == bytes)
    try disk.close()
  }

  @Test(.enabled(if: hasNBDKit, "needs nbdkit"))
  func `a read-only export takes no writes`() async throws {
    let server = try NBDTestServer(["nbdkit", "-f", "-r", "-U", "SOCKET", "memory", "1M"])
    let disk = try NBDImage(server.server)
    #expect(disk.isReadOnly)
    let buffer = MemorySegments(zeroed: 512)
    let answer = await perform(disk, .write(offset: 0, from: buffer, isDurable: false))
    #expect(answer == .failure(.readOnly))
    try await perform(disk, .read(offset: 0, into: buffer)).get()
    try disk.close()
  }

  @Test(
    .enabled(if: hasNBDKit, "needs nbdkit"),
    arguments: [("ENOSPC", BlockError.noSpace), ("EPERM", .readOnly)])
  func `a server's errors keep their meaning`(name: String, error: BlockError) async throws {
    let server = try NBDTestServer([
      "nbdkit", "-f", "-U", "SOCKET", "--filter=error", "memory", "1M", "error-pwrite=\(name)",
      "error-pwrite-rate=1",
    ])
    let disk = try NBDImage(server.server)
    let buffer = MemorySegments(zeroed: 512)
    let answer = await perform(disk, .write(offset: 0, from: buffer, isDurable: false))
    #expect(answer == .failure(error))
    try await perform(disk, .read(offset: 0, into: buffer)).get()
    try disk.close()
  }

  @Test(.enabled(if: hasNBDKit, "needs nbdkit"))
  func `a lost connection fails requests until it is back`() async throws {
    let server = try NBDTestServer([
      "nbdkit", "-f", "-U", "SOCKET", "--filter=delay", "memory", "1M", "rdelay=1",
    ])
    let events = Monitor<[NBDEvent]>([])
    let disk = try NBDImage(server.server) { event in events.update { $0.append(event) } }
    let tracker = Tracker()
    for number in 0..<8 {
      let read = BlockRequest.read(
        offset: UInt64(number * 512), into: MemorySegments(zeroed: 512))
      disk.submit([tracker.submission(read)])
    }
    usleep(200_000)
    server.kill()
    for result in await tracker.results() { #expect(result == .failure(.connectionLost)) }
    let during = await perform(disk, .flush)
    #expect(during == .failure(.connectionLost))
    try server.start()
    events.wait { events in
      events.contains { if case .reconnected = $0 { true } else { false } } ? () : nil
    }
    try await perform(disk, .read(offset: 0, into: MemorySegments(zeroed: 512))).get()
    // The connections are reported as one.
    let lossCount = events.withLock { events in
      events.count { if case .disconnected = $0 { true } else { false } }
    }
    #expect(lossCount == 1)
    try disk.close()
  }

  @Test(.enabled(if: hasNBDKit, "needs nbdkit"))
  func `a disk is closed although its server has gone`() async throws {
    let server = try NBDTestServer(["nbdkit", "-f", "-U", "SOCKET", "memory", "1M"])
    let disk = try NBDImage(server.server)
    server.kill()
    usleep(100_000)
    #expect(throws: BlockError.self) { try disk.close() }
  }

  @Test func `an address without a server is refused`() {
    #expect(throws: NBDError.self) {
      try NBDImage(.address("nbd+unix:///?socket=/nowhere/at/all"))
    }
    #expect(throws: NBDError.self) { try NBDImage(.address("nbd://127.0.0.1:1/")) }
    #expect(throws: NBDError.self) { try NBDImage(.address("http://127.0.0.1/")) }
    #expect(throws: NBDError.self) { try NBDImage(.command(["/nowhere/at/all"])) }
  }
}
