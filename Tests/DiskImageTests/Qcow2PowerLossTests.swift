import DeviceModel
import Foundation
import HostSystem
import Testing

@testable import DiskImages

/// What happens to an image when the power fails: everything since the last flush of the host's disk may be lost, or
/// half of it.
@Suite struct Qcow2PowerLossTests {
  static let shapes = ImageShape.all.filter { $0.size <= 4 << 20 }

  /// A write to the disk: what was there, and when.
  private struct Written {
    var range: Range<Int>
    var bytes: [UInt8]
    /// Events of the file before and after it.
    var start: Int
  }

  @Test(arguments: shapes, [UInt64(11), 12])
  func `power may fail at any write: the image is consistent and has what was flushed`(
    shape: ImageShape, seed: UInt64
  ) throws {
    let initial = try shape.image()
    let storage = SimulatedStorage(initial)
    let disk = try shape.open(storage)
    var model = DiskModel(shape.initialContents, seed: seed)
    var history: [Written] = []
    // Contents at each completed flush, and after how many events.
    var flushes: [(bytes: [UInt8], end: Int)] = [(model.bytes, 0)]
    for _ in 0..<80 {
      let start = storage.eventCount
      let (operation, range) = try model.step(disk, longest: 64 << 10)
      switch operation {
      case .flush: flushes.append((model.bytes, storage.eventCount))
      case .read: break
      default:
        history.append(Written(range: range, bytes: Array(model.bytes[range]), start: start))
      }
    }
    try disk.close()
    flushes.append((model.bytes, storage.eventCount))

    let events = storage.events
    var random = Generator(state: seed)
    let folder = try ImageFolder()
    // Every moment for small files, and each in a few ways.
    let step = max(1, events.count * (initial.count + shape.size) / (80 << 20))
    for end in stride(from: 0, through: events.count, by: step) {
      let bytes = SimulatedStorage.contents(of: initial, events[..<end], &random)
      let place = "\(shape.testDescription), seed \(seed), event \(end) of \(events.count)"
      try expectConsistent(bytes, shape, place, folder, usesQemu: random.next(below: 40) == 0)
      let flush = flushes.last { $0.end <= end } ?? flushes[0]
      try expectContents(
        bytes, shape, flush.bytes,
        history.filter { $0.start >= flush.end && $0.start < end }, place)
    }
  }

  private func expectConsistent(
    _ bytes: [UInt8], _ shape: ImageShape, _ place: String, _ folder: ImageFolder, usesQemu: Bool
  ) throws {
    let storage = SimulatedStorage(bytes)
    let header = try Qcow2Header(reading: storage)
    let isDirty = header.incompatible.contains(.dirty)
    let report = try check(storage)
    if !shape.isLazy || !isDirty {
      #expect(report.corruptions == 0, "\(place): \(report.findings)")
    }
    if shape.version >= 3 && !isDirty {
      #expect(report.leaks == 0, "\(place): \(report.findings)")
    }
    guard usesQemu, hasQemuImg, !shape.hasBacking else { return }
    let path = try folder.write(bytes, to: "crashed.qcow2")
    if !shape.isLazy {
      let result = try run("qemu-img", ["check", path], succeeds: false)
      #expect(
        result.status == 0 || result.status == 3 && (isDirty || shape.version == 2),
        "\(place): \(result.output)")
    }
    try run("qemu-img", ["check", "-r", "all", path])
    try run("qemu-img", ["check", path])
  }

  /// Each sector holds what it held at the flush, or something that was written since.
  private func expectContents(
    _ bytes: [UInt8], _ shape: ImageShape, _ flushed: [UInt8], _ since: [Written], _ place: String
  ) throws {
    let storage = SimulatedStorage(bytes)
    let disk = try shape.open(storage)
    let now = try disk.bytes()
    for start in stride(from: 0, to: flushed.count, by: 512) {
      let sector = now[start..<start + 512]
      if sector == flushed[start..<start + 512] { continue }
      let isWritten = since.contains { write in
        guard write.range.contains(start) else { return false }
        let offset = start - write.range.lowerBound
        // Zeroes come with a discard and before data.
        return write.bytes[offset..<offset + 512].elementsEqual(sector)
          || sector.allSatisfy { $0 == 0 }
      }
      #expect(isWritten, "\(place): sector \(start / 512)")
      if !isWritten { break }
    }
    try disk.close()
    let report = try check(storage)
    #expect(
      report.corruptions == 0 && (report.leaks == 0 || shape.version == 2),
      "\(place), repaired: \(report.findings)")
  }
}
