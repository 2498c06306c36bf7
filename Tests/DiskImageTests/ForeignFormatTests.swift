import DeviceModel
import Foundation
import HostSystem
import MartletTesting
import Testing

@testable import DiskImages

private let qemuNBD = program("qemu-nbd")

@Suite(.enabled(if: qemuNBD != nil && program("qemu-img") != nil, "needs qemu-utils"))
struct ForeignFormatTests {
  private func perform(_ disk: any BlockBackend, _ request: BlockRequest) async throws {
    try await withCheckedThrowingContinuation { continuation in
      disk.submit(request) { continuation.resume(with: $0) }
    }
  }

  /// An image of the format with a pattern in it.
  private func makeImage(_ driver: String, _ pathExtension: String) throws -> (String, [UInt8]) {
    let bytes = (0..<4 << 20).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 11) }
    let raw = try ScratchFile(bytes)
    // A comma is a separator in QEMU's options.
    let path = FileManager.default.temporaryDirectory
      .appending(path: "martlet-\(UUID().uuidString),1.\(pathExtension)").path()
    try run("qemu-img", ["convert", "-f", "raw", "-O", driver, raw.path, path])
    return (path, bytes)
  }

  @Test(arguments: [
    ("vmdk", "vmdk"), ("vhdx", "vhdx"), ("vpc", "vhd"), ("vdi", "vdi"), ("parallels", "hdd"),
    ("qed", "qed"),
  ])
  func `images of other formats are read and written`(
    driver: String, pathExtension: String
  ) async throws {
    let (path, bytes) = try makeImage(driver, pathExtension)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let (format, nameAgrees) = try #require(try ForeignFormat.detect(path: path))
    #expect(format.driver == driver && nameAgrees)
    let disk = try NBDImage(
      format.server(
        program: try #require(qemuNBD), imagePath: path, isReadOnly: false))
    // A VHD's size is rounded up to whole cylinders.
    #expect(disk.byteCount >= UInt64(bytes.count))
    let buffer = MemorySegments(zeroed: bytes.count)
    try await perform(disk, .read(offset: 0, into: buffer))
    #expect(buffer.bytes() == bytes)
    let piece = MemorySegments(zeroed: 4096)
    piece.write([UInt8](repeating: 0xA5, count: 4096))
    try await perform(disk, .write(offset: 1 << 20, from: piece, isDurable: true))
    try disk.close()
    let back = try ScratchFile([])
    try run("qemu-img", ["convert", "-f", driver, "-O", "raw", path, back.path])
    var expected = bytes
    expected.replaceSubrange(1 << 20..<(1 << 20) + 4096, with: repeatElement(0xA5, count: 4096))
    #expect([UInt8](try Data(contentsOf: back.url)).prefix(bytes.count) == expected[...])
  }

  @Test func `a snapshot forgets what is written`() async throws {
    let (path, bytes) = try makeImage("vmdk", "vmdk")
    defer { try? FileManager.default.removeItem(atPath: path) }
    let format = try #require(ForeignFormat(driver: "vmdk"))
    let server = format.server(
      program: try #require(qemuNBD), imagePath: path, isReadOnly: true)
    let disk = try TemporaryOverlay(
      try NBDImage(server, isReadOnly: true), temporaryDirectory: "/tmp")
    let buffer = MemorySegments(zeroed: 4096)
    try await perform(disk, .write(offset: 4096, from: buffer, isDurable: true))
    buffer.write([1])
    try await perform(disk, .read(offset: 4096, into: buffer))
    #expect(buffer.bytes() == [UInt8](repeating: 0, count: 4096))
    try disk.close()
    let again = try NBDImage(server)
    #expect(again.isReadOnly)
    try await perform(again, .read(offset: 4096, into: buffer))
    #expect(buffer.bytes() == Array(bytes[4096..<8192]))
    try again.close()
  }

  @Test func `the server ends with its disk`() async throws {
    let (path, _) = try makeImage("vdi", "vdi")
    defer { try? FileManager.default.removeItem(atPath: path) }
    func serverCount() -> Int {
      (try? FileManager.default.contentsOfDirectory(atPath: "/proc"))?.count { entry in
        let command = FileManager.default.contents(atPath: "/proc/\(entry)/cmdline") ?? Data()
        return String(decoding: command, as: UTF8.self)
          .contains(path.replacingOccurrences(of: ",", with: ",,"))
      } ?? 0
    }
    let format = try #require(ForeignFormat(driver: "vdi"))
    let disk = try NBDImage(
      format.server(
        program: try #require(qemuNBD), imagePath: path, isReadOnly: false))
    #expect(serverCount() == 1)
    try disk.close()
    for _ in 0..<100 where serverCount() > 0 { usleep(20_000) }
    #expect(serverCount() == 0)
  }

  @Test func `first bytes that a guest may have written are told from a format`() throws {
    let raw = try ScratchFile(Array("KDMV".utf8) + [UInt8](repeating: 0, count: 4096))
    let detected = try #require(try ForeignFormat.detect(path: raw.path))
    #expect(detected.format.driver == "vmdk" && !detected.nameAgrees)
    let tail = try ScratchFile(
      [UInt8](repeating: 0, count: 4096) + Array("conectix".utf8)
        + [UInt8](repeating: 0, count: 504))
    #expect(try ForeignFormat.detect(path: tail.path) == nil)
    #expect(ForeignFormat(driver: "vmdk,file.filename=/etc/passwd") == nil)
  }
}
