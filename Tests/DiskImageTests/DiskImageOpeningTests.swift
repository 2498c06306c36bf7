import DeviceModel
import Foundation
import HostSystem
import Testing

@testable import DiskImages

@Suite struct DiskImageOpeningTests {
  private let folder: ImageFolder

  init() throws { folder = try ImageFolder() }

  private func create(_ name: String, backing: String? = nil, size: UInt64? = 1 << 20) throws {
    var options = ImageOptions(format: .qcow2, byteCount: size)
    options.backingFile = backing
    try DiskImage.create(path: folder.path(name), options)
  }

  private func problem(_ body: () throws(DiskImageError) -> Void) -> DiskImageProblem? {
    do {
      try body()
      return nil
    } catch { return error.problem }
  }

  @Test func `an image that is written is nobody else's, nor is what lies behind it`() throws {
    try create("base.qcow2")
    try create("middle.qcow2", backing: "base.qcow2")
    try create("top.qcow2", backing: "middle.qcow2", size: nil)
    let top = try DiskImage.open(path: folder.path("top.qcow2"), isReadOnly: false)
    #expect(top.byteCount == 1 << 20)
    for name in ["top.qcow2", "middle.qcow2", "base.qcow2"] {
      #expect(
        problem { () throws(DiskImageError) in
          _ = try DiskImage.open(path: folder.path(name), isReadOnly: false)
        } == .inUse)
    }
    // Others may read what is only read.
    let middle = try DiskImage.open(path: folder.path("middle.qcow2"), isReadOnly: true)
    try middle.close()
    try top.close()
    for name in ["top.qcow2", "middle.qcow2", "base.qcow2"] {
      try DiskImage.open(path: folder.path(name), isReadOnly: false).close()
    }
    // And the other way round: what is being written is nobody's backing file.
    let base = try DiskImage.open(path: folder.path("base.qcow2"), isReadOnly: false)
    #expect(
      problem { () throws(DiskImageError) in
        _ = try DiskImage.open(path: folder.path("top.qcow2"), isReadOnly: true)
      } == .inUse)
    try base.close()
  }

  @Test(.enabled(if: hasQemuImg, "needs qemu-utils"))
  func `QEMU leaves an image alone that is being written`() throws {
    try create("image.qcow2")
    let image = try DiskImage.open(path: folder.path("image.qcow2"), isReadOnly: false)
    #expect(
      try run("qemu-img", ["check", folder.path("image.qcow2")], succeeds: false).status != 0)
    try image.close()
    try run("qemu-img", ["check", folder.path("image.qcow2")])
  }

  @Test func `an image that is its own backing file is refused`() throws {
    try create("a.qcow2")
    try create("b.qcow2", backing: "a.qcow2")
    try FileManager.default.removeItem(atPath: folder.path("a.qcow2"))
    try FileManager.default.copyItem(atPath: folder.path("b.qcow2"), toPath: folder.path("a.qcow2"))
    #expect(
      problem { () throws(DiskImageError) in
        _ = try DiskImage.open(path: folder.path("b.qcow2"), isReadOnly: true)
      } == .backingLoop)
  }

  @Test func `a guest cannot have the host read other files through its raw image`() throws {
    try create("top.qcow2")
    _ = try folder.write([UInt8](repeating: 7, count: 4096), to: "secret")
    try create("evil.qcow2", backing: "secret")
    // What it wrote into its raw disk.
    _ = try folder.write(try folder.bytes(of: "evil.qcow2"), to: "disk.img")
    #expect(
      problem { () throws(DiskImageError) in
        _ = try DiskImage.open(path: folder.path("disk.img"), isReadOnly: true)
      } == .unclearFormat)
    for format in ImageFormat.allCases {
      try DiskImage.open(path: folder.path("disk.img"), format: format, isReadOnly: true).close()
    }
    // Without a backing file there is nothing to be had.
    _ = try folder.write(try folder.bytes(of: "top.qcow2"), to: "plain.img")
    try DiskImage.open(path: folder.path("plain.img"), isReadOnly: false).close()
  }

  @Test func `a missing backing file is named`() throws {
    try create("base.qcow2")
    try create("top.qcow2", backing: "base.qcow2")
    try FileManager.default.removeItem(atPath: folder.path("base.qcow2"))
    do throws(DiskImageError) {
      _ = try DiskImage.open(path: folder.path("top.qcow2"), isReadOnly: true)
      Issue.record("opened without its backing file")
    } catch { #expect(error.path == folder.path("base.qcow2")) }
  }

  @Test func `the format that is asked for is the one that is opened`() throws {
    try create("image.qcow2")
    let bytes = try folder.bytes(of: "image.qcow2")
    let raw = try DiskImage.openSynchronous(
      path: folder.path("image.qcow2"), format: .raw, isReadOnly: true)
    #expect(try raw.bytes() == bytes)
    try raw.close()
    _ = try folder.write([UInt8](repeating: 1, count: 4096), to: "raw")
    #expect(
      problem { () throws(DiskImageError) in
        _ = try DiskImage.open(path: folder.path("raw"), format: .qcow2, isReadOnly: true)
      } == .otherFormat(expected: .qcow2))
  }

  @Test func `backing files of other protocols are refused by name`() throws {
    for (name, problem) in [
      ("json:{}", DiskImageProblem.unsupported("the backing file json:{}")),
      ("nbd://host/x", .unsupported("the backing file nbd://host/x")),
    ] {
      #expect(throws: DiskImageError(path: "/a/b", problem)) {
        try DiskImage.resolve(name, relativeTo: "/a/b")
      }
    }
    #expect(try DiskImage.resolve("file:c", relativeTo: "/a/b") == "/a/c")
    #expect(try DiskImage.resolve("/c", relativeTo: "a/b") == "/c")
    #expect(try DiskImage.resolve("c", relativeTo: "b") == "c")
  }

  @Test func `what is written over a qcow2 image is forgotten with the machine`() async throws {
    try create("image.qcow2")
    let disk = try DiskImage.openSynchronous(path: folder.path("image.qcow2"), isReadOnly: false)
    try disk.write([UInt8](repeating: 3, count: 70_000 / 512 * 512), at: 512)
    try disk.close()
    let before = try folder.bytes(of: "image.qcow2")
    let overlay = try DiskImage.openTemporary(
      path: folder.path("image.qcow2"),
      temporaryDirectory: FileManager.default.temporaryDirectory.path)
    #expect(!overlay.isReadOnly && overlay.byteCount == 1 << 20)
    let buffer = MemorySegments(zeroed: 1024)
    buffer.write([UInt8](repeating: 9, count: 1024))
    try await overlay.carryOut(.write(offset: 1024, from: buffer, isDurable: true)).get()
    let result = MemorySegments(zeroed: 4096)
    try await overlay.carryOut(.read(offset: 0, into: result)).get()
    #expect(
      result.bytes()
        == [UInt8](repeating: 0, count: 512) + [UInt8](repeating: 3, count: 512)
        + [UInt8](repeating: 9, count: 1024) + [UInt8](repeating: 3, count: 2048))
    try overlay.close()
    #expect(try folder.bytes(of: "image.qcow2") == before)
  }

  @Test func `an image that was not closed is repaired when it is written, not when it is read`()
    throws
  {
    try create("image.qcow2")
    var bytes = try folder.bytes(of: "image.qcow2")
    bytes[79] |= 1
    let block = Int(bytes.bigEndian(at: 0x10000, count: 8) ?? 0)
    bytes[block + 101] = 1
    _ = try folder.write(bytes, to: "image.qcow2")
    try DiskImage.open(path: folder.path("image.qcow2"), isReadOnly: true).close()
    #expect(try folder.bytes(of: "image.qcow2") == bytes)
    #expect(try DiskImage.check(path: folder.path("image.qcow2")).leaks == 1)
    try DiskImage.open(path: folder.path("image.qcow2"), isReadOnly: false).close()
    let report = try DiskImage.check(path: folder.path("image.qcow2"))
    #expect(report.leaks == 0 && report.corruptions == 0)
    #expect(try DiskImage.information(path: folder.path("image.qcow2")).qcow2?.isDirty == false)
  }
}
