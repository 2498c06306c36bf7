import DeviceModel
import Foundation
import HostSystem
import Testing

@testable import DiskImages

/// Images that `qemu-img` made, and what it says of ours.
@Suite(.enabled(if: hasQemuImg, "needs qemu-utils")) struct Qcow2InteroperabilityTests {
  private let folder: ImageFolder

  init() throws { folder = try ImageFolder() }

  /// Text, noise and holes.
  private func contents(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = Generator(state: seed)
    var bytes = [UInt8](repeating: 0, count: count)
    for _ in 0..<20 {
      let length = min(count, 512 * (1 + random.next(below: 300)))
      let start = random.next(below: (count - length) / 512 + 1) * 512
      let isText = random.next(below: 2) == 0
      for index in start..<start + length {
        bytes[index] =
          isText ? UInt8(truncatingIfNeeded: index / 64) : UInt8(truncatingIfNeeded: random.next())
      }
    }
    return bytes
  }

  /// Opens the image, compares it with the model, does things to both, and has QEMU judge.
  private func exercise(
    _ name: String, _ expected: [UInt8], seed: UInt64 = 5, checksLeaks: Bool = true
  ) throws {
    let path = folder.path(name)
    let readOnly = try DiskImage.openSynchronous(path: path, isReadOnly: true)
    #expect(try readOnly.bytes() == expected)
    try readOnly.close()
    var model = DiskModel(expected, seed: seed)
    for _ in 0..<2 {
      let disk = try DiskImage.openSynchronous(path: path, isReadOnly: false)
      for _ in 0..<60 { try model.step(disk, longest: 256 << 10) }
      #expect(try disk.bytes() == model.bytes)
      try disk.close()
      try run("qemu-img", ["check", path])
      let report = try DiskImage.check(path: path)
      #expect(report.corruptions == 0 && report.leaks == 0, "\(report.findings)")
    }
    try run("qemu-img", ["convert", "-O", "raw", path, folder.path("result.raw")])
    #expect(try folder.bytes(of: "result.raw") == model.bytes)
  }

  @Test(arguments: [
    "compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=4096",
    "cluster_size=2M", "lazy_refcounts=on", "refcount_bits=1", "refcount_bits=64,cluster_size=1024",
    "refcount_bits=2,cluster_size=512", "preallocation=metadata", "preallocation=full",
    "preallocation=falloc,cluster_size=4096",
  ])
  func `images that qemu-img made are read and written`(options: String) throws {
    let bytes = contents(5 << 20, seed: 3)
    _ = try folder.write(bytes, to: "source.raw")
    try run(
      "qemu-img",
      [
        "convert", "-f", "raw", "-O", "qcow2", "-o", options, folder.path("source.raw"),
        folder.path("image"),
      ])
    try exercise("image", bytes)
  }

  @Test(arguments: ["zlib", "zstd"], ["512", "4096", "65536", "2097152"])
  func `compressed images are read, and written over`(type: String, cluster: String) throws {
    let bytes = contents(5 << 20, seed: 4)
    _ = try folder.write(bytes, to: "source.raw")
    try run(
      "qemu-img",
      [
        "convert", "-c", "-f", "raw", "-O", "qcow2",
        "-o", "compression_type=\(type),cluster_size=\(cluster)", folder.path("source.raw"),
        folder.path("image"),
      ])
    try exercise("image", bytes)
  }

  @Test(arguments: ["zlib", "zstd"], [UInt64(512), 65_536, 2 << 20])
  func `qemu-img reads what Martlet compressed`(type: String, cluster: UInt64) throws {
    let bytes = contents(5 << 20, seed: 8)
    let source = try folder.write(bytes, to: "source.raw")
    var options = ImageOptions(format: .qcow2)
    options.compression = type == "zstd" ? .zstd : .zlib
    options.clusterByteCount = cluster
    try DiskImage.convert(
      from: source, to: folder.path("image"), options, isCompressed: true)
    try run("qemu-img", ["check", folder.path("image")])
    let report = try DiskImage.check(path: folder.path("image"))
    #expect(report.compressedClusters > 0)
    try exercise("image", bytes)
  }

  @Test func `a chain of backing files is read through, and only its top is written`() throws {
    let bytes = contents(3 << 20, seed: 6)
    _ = try folder.write(bytes, to: "base.raw")
    for (name, backing, format) in [
      ("middle.qcow2", "base.raw", "raw"), ("top.qcow2", "middle.qcow2", "qcow2"),
    ] {
      try run(
        "qemu-img",
        [
          "create", "-f", "qcow2", "-b", backing, "-F", format, "-o", "cluster_size=4096",
          folder.path(name), "4M",
        ])
      try run(
        "qemu-io", ["-c", "write -P \(name.utf8.first ?? 1) 70000 100000", folder.path(name)])
    }
    let path = folder.path("before.raw")
    try run("qemu-img", ["convert", "-O", "raw", folder.path("top.qcow2"), path])
    let lower = [try folder.bytes(of: "base.raw"), try folder.bytes(of: "middle.qcow2")]
    try exercise("top.qcow2", try folder.bytes(of: "before.raw"))
    #expect(try [folder.bytes(of: "base.raw"), folder.bytes(of: "middle.qcow2")] == lower)
  }

  @Test(arguments: ["512", "65536"], ["0.10", "1.1"])
  func `snapshots stay what they are while the image is written`(
    cluster: String, version: String
  ) throws {
    let bytes = contents(3 << 20, seed: 7)
    _ = try folder.write(bytes, to: "source.raw")
    let path = folder.path("image")
    try run(
      "qemu-img",
      [
        "convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=\(cluster),compat=\(version)",
        folder.path("source.raw"), path,
      ])
    try run("qemu-img", ["snapshot", "-c", "first", path])
    var model = DiskModel(bytes, seed: 9)
    let disk = try DiskImage.openSynchronous(path: path, isReadOnly: false)
    for _ in 0..<40 { try model.step(disk, longest: 256 << 10) }
    try disk.close()
    try run("qemu-img", ["check", path])
    try run("qemu-img", ["snapshot", "-c", "second", path])
    #expect(
      try DiskImage.information(path: path).qcow2?.snapshots.map(\.name) == ["first", "second"])
    try exercise("image", model.bytes, seed: 10)
    for (snapshot, expected) in [("first", bytes), ("second", model.bytes)] {
      try run(
        "qemu-img",
        ["convert", "-l", snapshot, "-O", "raw", path, folder.path("\(snapshot).raw")])
      #expect(try folder.bytes(of: "\(snapshot).raw") == expected)
    }
    try run("qemu-img", ["snapshot", "-d", "first", path])
    try run("qemu-img", ["check", path])
  }

  @Test func `bitmaps that would be wrong are given up, and their space`() throws {
    let path = folder.path("image")
    try run("qemu-img", ["create", "-f", "qcow2", path, "4M"])
    try run("qemu-img", ["bitmap", "--add", path, "bitmap"])
    var report = try DiskImage.check(path: path)
    #expect(report.corruptions == 0 && report.leaks == 0, "\(report.findings)")
    let disk = try DiskImage.openSynchronous(path: path, isReadOnly: false)
    try disk.write([UInt8](repeating: 1, count: 4096), at: 0)
    try disk.close()
    report = try DiskImage.check(path: path)
    #expect(report.corruptions == 0 && report.leaks == 0, "\(report.findings)")
    try run("qemu-img", ["check", path])
  }

  @Test func `QEMU's leaks and wrong counts are found and repaired`() throws {
    let path = folder.path("image")
    let bytes = contents(2 << 20, seed: 11)
    _ = try folder.write(bytes, to: "source.raw")
    try run(
      "qemu-img", ["convert", "-f", "raw", "-O", "qcow2", folder.path("source.raw"), path])
    var image = try folder.bytes(of: "image")
    let block = Int(image.bigEndian(at: Int(image.bigEndian(at: 48, count: 8) ?? 0), count: 8) ?? 0)
    // Cluster 4 is no more counted, cluster 5 twice, and cluster 200 is leaked.
    image[block + 9] = 0
    image[block + 11] = 2
    image[block + 401] = 1
    _ = try folder.write(image, to: "image")
    let before = try DiskImage.check(path: path)
    #expect(before.corruptions > 0 && before.leaks == 2, "\(before.findings)")
    let leaks = try DiskImage.check(path: path, repair: .leaks)
    #expect(leaks.leaksFixed == 2 && leaks.corruptions > 0)
    let all = try DiskImage.check(path: path, repair: .all)
    #expect(all.corruptions == 0 && all.leaks == 0 && all.corruptionsFixed > 0)
    try run("qemu-img", ["check", path])
    try exercise("image", bytes)
  }

  @Test func `an image whose refcount table is gone is repaired`() throws {
    let path = folder.path("image")
    let bytes = contents(2 << 20, seed: 12)
    _ = try folder.write(bytes, to: "source.raw")
    try run(
      "qemu-img",
      [
        "convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=512", folder.path("source.raw"),
        path,
      ])
    var image = try folder.bytes(of: "image")
    let table = Int(image.bigEndian(at: 48, count: 8) ?? 0)
    for index in 0..<64 { image[table + index] = UInt8(truncatingIfNeeded: index * 37 + 1) }
    _ = try folder.write(image, to: "image")
    #expect(throws: DiskImageError.self) {
      try DiskImage.openSynchronous(path: path, isReadOnly: false)
    }
    let report = try DiskImage.check(path: path, repair: .all)
    #expect(report.corruptions == 0 && report.leaks == 0, "\(report.findings)")
    try run("qemu-img", ["check", path])
    try exercise("image", bytes)
  }

  @Test(arguments: [UInt64(512), 65_536])
  func `disks grow and shrink`(cluster: UInt64) throws {
    let path = folder.path("image")
    let bytes = contents(1 << 20, seed: 13)
    let source = try folder.write(bytes, to: "source.raw")
    var options = ImageOptions(format: .qcow2)
    options.clusterByteCount = cluster
    try DiskImage.convert(from: source, to: path, options)
    try DiskImage.resize(path: path, to: 8 << 30, mayShrink: false)
    try run("qemu-img", ["check", path])
    var disk = try DiskImage.openSynchronous(path: path, isReadOnly: false)
    #expect(disk.byteCount == 8 << 30)
    #expect(try disk.bytes(at: 0, count: 2 << 20) == bytes + [UInt8](repeating: 0, count: 1 << 20))
    try disk.write([UInt8](repeating: 9, count: 8192), at: (8 << 30) - 8192)
    try disk.close()
    #expect(throws: DiskImageError.self) {
      try DiskImage.resize(path: path, to: 700 * 512, mayShrink: false)
    }
    try DiskImage.resize(path: path, to: 700 * 512, mayShrink: true)
    try run("qemu-img", ["check", path])
    try DiskImage.resize(path: path, to: 1 << 20, mayShrink: false)
    try run("qemu-img", ["check", path])
    disk = try DiskImage.openSynchronous(path: path, isReadOnly: true)
    let kept = 700 * 512
    #expect(
      try disk.bytes()
        == Array(bytes[..<kept]) + [UInt8](repeating: 0, count: (1 << 20) - kept))
    try disk.close()
  }
}
