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

  private func perform(_ image: RawImage, _ request: BlockRequest) async -> Result<Void, BlockError>
  {
    await withCheckedContinuation { continuation in
      image.submit(request) { continuation.resume(returning: $0) }
    }
  }

  @Test func `the image is the disk, in whole blocks`() async throws {
    let path = try makeFile([UInt8](repeating: 7, count: 10_000))
    defer { try? FileManager.default.removeItem(atPath: path) }
    let image = try RawImage(path: path, isReadOnly: false)
    #expect(image.byteCount == 9728)
    let buffer = MemorySegments(zeroed: 1024)
    try await perform(image, .read(offset: 512, into: buffer)).get()
    #expect(buffer.bytes() == [UInt8](repeating: 7, count: 1024))
    buffer.write([UInt8](repeating: 9, count: 1024))
    try await perform(image, .write(offset: 1024, from: buffer, isDurable: true)).get()
    try await perform(image, .writeZeroes(offset: 4096, byteCount: 512, mayUnmap: false)).get()
    try await perform(image, .discard(offset: 8192, byteCount: 512)).get()
    try await perform(image, .flush).get()
    try image.close()
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    #expect(bytes.count == 10_000)
    #expect(bytes[1023...1024] == [7, 9])
    #expect(bytes[2047...2048] == [9, 7])
    #expect(bytes[4095...4096] == [7, 0])
    #expect(bytes[4607...4608] == [0, 7])
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
    let path = try makeFile([0x51, 0x46, 0x49, 0xFB] + [UInt8](repeating: 0, count: 600))
    defer { try? FileManager.default.removeItem(atPath: path) }
    let image = try RawImage(path: path, isReadOnly: true)
    #expect(try image.foreignFormat() == "qcow2")
    try image.close()
  }

  @Test func `a directory and a missing file are no images`() {
    #expect(throws: HostError.self) { try RawImage(path: "/tmp", isReadOnly: true) }
    #expect(throws: HostError.self) { try RawImage(path: "/nowhere/at/all", isReadOnly: true) }
  }
}
