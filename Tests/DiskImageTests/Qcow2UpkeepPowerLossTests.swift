import Foundation
import Testing

@testable import DiskImages

/// Loss of power while an image is resized or repaired, and while snapshots share its clusters.
@Suite struct Qcow2UpkeepPowerLossTests {
  /// Whatever is left, it opens for writing, is consistent afterwards and holds `expected`, or as much as both have.
  private func expectWhole(
    _ initial: [UInt8], _ storage: SimulatedStorage, _ expected: [UInt8], _ what: String,
    seed: UInt64
  ) throws {
    var random = Generator(state: seed)
    let events = storage.events
    for end in 0...events.count {
      let bytes = SimulatedStorage.contents(of: initial, events[..<end], &random)
      let place = "\(what): event \(end) of \(events.count)"
      let crashed = SimulatedStorage(bytes)
      let disk = try Qcow2Disk(storage: crashed, backing: nil, isReadOnly: false)
      let count = min(Int(disk.byteCount), expected.count)
      let now = try disk.bytes(at: 0, count: count)
      #expect(now.elementsEqual(expected[..<count]), "\(place)")
      try disk.close()
      let report = try check(crashed)
      #expect(report.corruptions == 0 && report.leaks == 0, "\(place): \(report.findings)")
    }
  }

  private func filled(_ shape: ImageShape, steps: Int = 60) throws -> (
    SimulatedStorage, [UInt8]
  ) {
    let storage = SimulatedStorage(try shape.image())
    var model = DiskModel(shape.initialContents, seed: 21)
    let disk = try shape.open(storage)
    for _ in 0..<steps { try model.step(disk, longest: 32 << 10) }
    try disk.close()
    return (storage, model.bytes)
  }

  @Test(arguments: [UInt64(512), 4096], [300 << 10, 40 << 20])
  func `power may fail while an image is resized`(cluster: UInt64, newSize: Int) throws {
    let shape = ImageShape(cluster: cluster, size: 1 << 20, refcountBits: 64)
    let (filled, contents) = try filled(shape)
    let initial = filled.bytes
    let storage = SimulatedStorage(initial)
    let disk = try shape.open(storage)
    try disk.resize(to: UInt64(newSize))
    try disk.close()
    let kept = min(newSize, contents.count)
    try expectWhole(
      initial, storage, Array(contents[..<kept]), "resize to \(newSize)", seed: cluster)
    let resized = try shape.open(SimulatedStorage(storage.bytes))
    #expect(resized.byteCount == UInt64(newSize))
  }

  @Test(arguments: [UInt64(16), 64])
  func `power may fail while an image is repaired`(refcountBits: UInt64) throws {
    let shape = ImageShape(
      cluster: 512, size: 1 << 20, refcountBits: refcountBits, isLazy: true)
    let (filled, contents) = try filled(shape)
    var initial = filled.bytes
    // As after a crash: half of the counts are not there, others are too high, and the header says so.
    initial[79] |= 1
    let table = Int(initial.bigEndian(at: 48, count: 8) ?? 0)
    let block = Int(initial.bigEndian(at: table, count: 8) ?? 0)
    for index in 0..<256 { initial[block + 256 + index] = 0 }
    initial[block + 255] = 3
    // A block that never got into the table.
    for index in 8..<16 { initial[table + index] = 0 }
    let storage = SimulatedStorage(initial)
    let disk = try shape.open(storage)
    try disk.close()
    #expect(try check(storage).corruptions == 0)
    try expectWhole(initial, storage, contents, "repair", seed: refcountBits)
  }

  @Test(.enabled(if: hasQemuImg, "needs qemu-utils"), arguments: [UInt64(512), 4096])
  func `power may fail while clusters are copied that a snapshot shares`(cluster: UInt64) throws {
    let shape = ImageShape(cluster: cluster, size: 512 << 10)
    let (filled, contents) = try filled(shape)
    let folder = try ImageFolder()
    let path = try folder.write(filled.bytes, to: "image")
    try run("qemu-img", ["snapshot", "-c", "first", path])
    let initial = try folder.bytes(of: "image")
    let storage = SimulatedStorage(initial)
    let disk = try shape.open(storage)
    var model = DiskModel(contents, seed: cluster)
    for _ in 0..<20 { try model.step(disk, longest: 32 << 10) }
    try disk.close()
    var random = Generator(state: cluster)
    let events = storage.events
    for end in 0...events.count {
      let bytes = SimulatedStorage.contents(of: initial, events[..<end], &random)
      let report = try check(SimulatedStorage(bytes))
      #expect(report.corruptions == 0, "event \(end) of \(events.count): \(report.findings)")
      guard end % max(1, events.count / 12) == 0 else { continue }
      let crashed = try folder.write(bytes, to: "crashed")
      try run("qemu-img", ["check", "-q", "-r", "leaks", crashed])
      try run(
        "qemu-img", ["convert", "-l", "first", "-O", "raw", crashed, folder.path("first.raw")])
      #expect(try folder.bytes(of: "first.raw") == contents)
    }
  }
}
