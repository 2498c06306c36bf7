import DeviceModel
import Foundation
import HostSystem
import Synchronization
import Testing

@testable import DiskImages

struct ImageShape: Sendable, CustomTestStringConvertible {
  var cluster: UInt64
  var size: Int
  var refcountBits: UInt64 = 16
  var version: UInt32 = 3
  var isLazy = false
  var hasBacking = false

  var testDescription: String {
    "clusters of \(cluster), \(refcountBits)-bit counts, version \(version)"
      + (isLazy ? ", lazy" : "") + (hasBacking ? ", backing file" : "")
  }

  static let all: [ImageShape] = [
    ImageShape(cluster: 512, size: 300_032, refcountBits: 64),
    ImageShape(cluster: 512, size: 4 << 20, refcountBits: 64, isLazy: true),
    ImageShape(cluster: 1024, size: 500 << 10, refcountBits: 1, hasBacking: true),
    ImageShape(cluster: 4096, size: 1 << 20, refcountBits: 2),
    ImageShape(cluster: 4096, size: (1 << 20) + 512, version: 2, hasBacking: true),
    ImageShape(cluster: 4096, size: 1 << 20, refcountBits: 8, isLazy: true, hasBacking: true),
    ImageShape(cluster: 65_536, size: 3 << 20, refcountBits: 4, hasBacking: true),
    ImageShape(cluster: 65_536, size: 3 << 20, version: 2),
    ImageShape(cluster: 2 << 20, size: 9 << 20, refcountBits: 32, hasBacking: true),
  ]

  func image() throws -> [UInt8] {
    try newImage(UInt64(size)) { options in
      options.clusterByteCount = cluster
      options.refcountBits = refcountBits
      options.version = version
      options.hasLazyRefcounts = isLazy
    }
  }

  /// Half as long as the disk, and not a multiple of a cluster.
  func backing() throws -> (any SynchronousDisk)? {
    guard hasBacking else { return nil }
    return try RawDisk(SimulatedStorage(backingBytes))
  }

  private var backingBytes: [UInt8] {
    (0..<size / 1024 * 512 + 512).map { UInt8(truncatingIfNeeded: $0 / 512 * 7 + 3) }
  }

  var initialContents: [UInt8] {
    guard hasBacking else { return [UInt8](repeating: 0, count: size) }
    return backingBytes + [UInt8](repeating: 0, count: size - backingBytes.count)
  }

  func open(_ storage: any ImageStorage) throws -> Qcow2Disk {
    try Qcow2Disk(storage: storage, backing: backing(), isReadOnly: false)
  }
}

@Suite struct Qcow2RandomTests {
  @Test(arguments: ImageShape.all, [UInt64(1), 2, 3])
  func `an image holds what was written to it, and is consistent when closed`(
    shape: ImageShape, seed: UInt64
  ) throws {
    let storage = SimulatedStorage(try shape.image())
    var model = DiskModel(shape.initialContents, seed: seed)
    for _ in 0..<3 {
      let disk = try shape.open(storage)
      for _ in 0..<60 { try model.step(disk, longest: 64 << 10) }
      #expect(try disk.bytes() == model.bytes)
      try disk.close()
      let report = try check(storage)
      #expect(report.corruptions == 0 && report.leaks == 0, "\(report.findings)")
    }
    let folder = try ImageFolder()
    _ = try folder.write(storage.bytes, to: "image.qcow2")
    guard hasQemuImg, !shape.hasBacking else { return }
    try run("qemu-img", ["check", folder.path("image.qcow2")])
    try run(
      "qemu-img", ["convert", "-O", "raw", folder.path("image.qcow2"), folder.path("raw")])
    #expect(try folder.bytes(of: "raw") == model.bytes)
  }

  @Test(arguments: [UInt64(512), 4096, 65_536])
  func `threads that write to the same clusters do not disturb each other`(
    cluster: UInt64
  ) async throws {
    let folder = try ImageFolder()
    let path = folder.path("image.qcow2")
    var options = ImageOptions(format: .qcow2, byteCount: 4 << 20)
    options.clusterByteCount = cluster
    try DiskImage.create(path: path, options)
    let image = try DiskImage.open(path: path, isReadOnly: false)
    let sectors = Int(image.byteCount / 512)
    let threadCount = 6
    // Thread n has every sector whose number is n more than a multiple of the number of threads.
    let contents = await withTaskGroup(of: [Int: UInt8].self) { group in
      for thread in 0..<threadCount {
        group.addTask {
          var random = Generator(state: UInt64(thread) + cluster)
          var written: [Int: UInt8] = [:]
          for step in 0..<400 {
            let sector = random.next(below: sectors / threadCount) * threadCount + thread
            let value = UInt8(truncatingIfNeeded: step | 1)
            let buffer = MemorySegments(zeroed: 512)
            if step % 50 == 49 { _ = await image.carryOut(.flush) }
            if step % 7 == 6 {
              let request = BlockRequest.writeZeroes(
                offset: UInt64(sector) * 512, byteCount: 512, mayUnmap: true)
              if case .failure(let error) = await image.carryOut(request) {
                Issue.record("\(error)")
              }
              written[sector] = 0
              continue
            }
            buffer.write([UInt8](repeating: value, count: 512))
            let request = BlockRequest.write(
              offset: UInt64(sector) * 512, from: buffer, isDurable: false)
            if case .failure(let error) = await image.carryOut(request) { Issue.record("\(error)") }
            written[sector] = value
          }
          return written
        }
      }
      return await group.reduce(into: [:]) { $0.merge($1) { first, _ in first } }
    }
    try image.close()
    let disk = try DiskImage.openSynchronous(path: path, isReadOnly: true)
    let bytes = try disk.bytes()
    for (sector, value) in contents {
      #expect(bytes[sector * 512] == value && bytes[sector * 512 + 511] == value)
    }
    try disk.close()
    let report = try DiskImage.check(path: path)
    #expect(report.corruptions == 0 && report.leaks == 0, "\(report.findings)")
  }

  @Test func `writes that fail leave a consistent image, and later ones go on`() throws {
    for budget in 0..<60 {
      let storage = SimulatedStorage(
        try newImage(1 << 20) {
          $0.clusterByteCount = 512
          $0.refcountBits = 64
        })
      var disk = try Qcow2Disk(storage: storage, backing: nil, isReadOnly: false)
      storage.fail(after: budget)
      var model = DiskModel([UInt8](repeating: 0, count: 1 << 20), seed: 7)
      for _ in 0..<20 { _ = try? model.step(disk, longest: 64 << 10, canDiscard: false) }
      storage.fail(after: .max)
      try disk.perform(.flush)
      try disk.close()
      let report = try check(storage)
      #expect(report.corruptions == 0, "\(budget): \(report.findings)")
      disk = try Qcow2Disk(storage: storage, backing: nil, isReadOnly: false)
      try disk.write([UInt8](repeating: 5, count: 4096), at: 8192)
      try disk.close()
      #expect(try check(storage).corruptions == 0)
    }
  }
}
