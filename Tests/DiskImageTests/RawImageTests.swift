import DeviceModel
import DiskImages
import Foundation
import HostSystem
import Testing

@Suite struct RawImageTests {
  private func makeFile(_ bytes: [UInt8]) throws -> String {
    let path = FileManager.default.temporaryDirectory
      .appending(path: "martlet-\(UUID().uuidString).img").path()
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return path
  }

  @Test func `the image is the disk, in whole blocks`() async throws {
    let path = try makeFile([UInt8](repeating: 7, count: 10_000))
    defer { try? FileManager.default.removeItem(atPath: path) }
    let image = try RawImage(path: path, isReadOnly: false)
    #expect(image.byteCount == 9728)
    let buffer = MemorySegments(zeroed: 1024)
    try await image.carryOut(.read(offset: 512, into: buffer)).get()
    #expect(buffer.bytes() == [UInt8](repeating: 7, count: 1024))
    buffer.write([UInt8](repeating: 9, count: 1024))
    try await image.carryOut(.write(offset: 1024, from: buffer, isDurable: true)).get()
    try await image.carryOut(.writeZeroes(offset: 4096, byteCount: 512, mayUnmap: false)).get()
    try await image.carryOut(.discard(offset: 8192, byteCount: 512)).get()
    try await image.carryOut(.flush).get()
    try image.close()
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    #expect(bytes.count == 10_000)
    #expect(bytes[1023...1024] == [7, 9])
    #expect(bytes[2047...2048] == [9, 7])
    #expect(bytes[4095...4096] == [7, 0])
    #expect(bytes[4607...4608] == [0, 7])
  }

  @Test func `what is written over an image is forgotten with it`() async throws {
    let original = (0..<20_480).map { UInt8(truncatingIfNeeded: $0 / 512) }
    let path = try makeFile(original)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let overlay = try DiskImage.openTemporary(
      path: path, temporaryDirectory: FileManager.default.temporaryDirectory.path())
    var expected = original
    // Parts of clusters, whole ones, and runs of both.
    for (offset, count, value): (Int, Int, UInt8) in [
      (512, 1024, 200), (3584, 1024, 201), (8192, 4096, 202), (7680, 8192, 203), (19_968, 512, 204),
    ] {
      let buffer = MemorySegments(zeroed: count)
      buffer.write([UInt8](repeating: value, count: count))
      try await overlay.carryOut(.write(offset: UInt64(offset), from: buffer, isDurable: true))
        .get()
      expected.replaceSubrange(
        offset..<offset + count, with: repeatElement(value, count: count))
    }
    try await overlay.carryOut(.writeZeroes(offset: 4096, byteCount: 512, mayUnmap: true)).get()
    expected.replaceSubrange(4096..<4608, with: repeatElement(0, count: 512))
    for (offset, count) in [(0, 20_480), (512, 7168), (4096, 512), (19_456, 1024)] {
      let buffer = MemorySegments(zeroed: count)
      try await overlay.carryOut(.read(offset: UInt64(offset), into: buffer)).get()
      #expect(buffer.bytes() == Array(expected[offset..<offset + count]))
    }
    try overlay.close()
    #expect([UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) == original)
  }

  @Test func `nobody opens an image that is being written, until it is closed`() throws {
    let path = try makeFile([UInt8](repeating: 0, count: 4096))
    defer { try? FileManager.default.removeItem(atPath: path) }
    let first = try RawImage(path: path, isReadOnly: false)
    do throws(HostError) {
      _ = try RawImage(path: path, isReadOnly: true)
      Issue.record("opened twice")
    } catch { #expect(error.isLocked) }
    try first.close()
    let readers = try (0..<2).map { _ in try RawImage(path: path, isReadOnly: true) }
    #expect(throws: HostError.self) { try RawImage(path: path, isReadOnly: false) }
    for reader in readers { try reader.close() }
  }

  @Test func `images of other formats are told by their first bytes`() throws {
    let path = try makeFile(
      [0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 3] + [UInt8](repeating: 0, count: 600))
    defer { try? FileManager.default.removeItem(atPath: path) }
    #expect(try DiskImage.detectFormat(path: path) == .qcow2)
    let other = try makeFile(Array("KDMV".utf8) + [UInt8](repeating: 0, count: 600))
    defer { try? FileManager.default.removeItem(atPath: other) }
    #expect(throws: DiskImageError(path: other, .unsupported("the format vmdk"))) {
      try DiskImage.detectFormat(path: other)
    }
  }

  @Test func `a directory and a missing file are no images`() {
    #expect(throws: HostError.self) { try RawImage(path: "/tmp", isReadOnly: true) }
    #expect(throws: HostError.self) { try RawImage(path: "/nowhere/at/all", isReadOnly: true) }
  }
}
