import DeviceModel
import Foundation
import HostSystem
import Testing

@testable import DiskImages

/// Images that lie. Whatever they say, there is an answer, and nothing is written over their tables.
@Suite struct Qcow2HostileTests {
  /// An image with data, a zero cluster and a compressed one.
  private static func image(cluster: UInt64 = 512, version: UInt32 = 3) throws -> [UInt8] {
    let storage = SimulatedStorage(
      try newImage(200 << 10) {
        $0.clusterByteCount = cluster
        $0.version = version
        $0.backingFile = "base"
        $0.backingFormat = .raw
      })
    let disk = try Qcow2Disk(storage: storage, backing: nil, isReadOnly: false)
    try disk.write([UInt8](repeating: 3, count: 60 << 10), at: 4096)
    try disk.perform(.writeZeroes(offset: 8192, byteCount: 4096, mayUnmap: false))
    try disk.writeCompressed(MemorySegments(zeroed: Int(cluster)), at: 128 << 10)
    try disk.close()
    return storage.bytes
  }

  /// Opens, reads, writes, checks and repairs; no more is asked of it than to come back.
  static func exercise(_ bytes: [UInt8]) {
    let storage = SimulatedStorage(bytes)
    guard let header = try? Qcow2Header(reading: storage) else { return }
    let size = min(header.virtualByteCount & ~511, 256 << 10)
    if let disk = try? Qcow2Disk(storage: storage, backing: nil, isReadOnly: true) {
      for offset in stride(from: 0, to: size, by: 4096) {
        _ = try? disk.bytes(at: offset, count: Int(min(4096, size - offset)))
      }
      _ = try? disk.nextData(from: 0)
    }
    _ = try? Qcow2Check(storage, header).check()
    let copy = SimulatedStorage(bytes)
    if let disk = try? Qcow2Disk(storage: copy, backing: nil, isReadOnly: false) {
      for offset in stride(from: 0, to: size, by: 12_288) {
        let count = min(4096, size - offset)
        _ = try? disk.write([UInt8](repeating: 1, count: Int(count)), at: offset)
      }
      _ = try? disk.perform(.writeZeroes(offset: 0, byteCount: size, mayUnmap: true))
      _ = try? disk.perform(.flush)
      _ = try? disk.close()
    }
    _ = try? Qcow2Check(storage, header).repair(.all)
  }

  @Test(arguments: [UInt32(2), 3])
  func `no field of the header crashes or hangs`(version: UInt32) throws {
    let image = try Self.image(version: version)
    let values: [UInt64] = [
      0, 1, 2, 9, 21, 22, 63, 64, 511, 512, 513, 1 << 16, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 40,
      1 << 55, 1 << 56, 1 << 62, 1 << 63, .max,
    ]
    for offset in stride(from: 0, to: 120, by: 4) {
      for count in [1, 4, 8] {
        for value in values {
          var bytes = image
          for index in 0..<count {
            bytes[offset + index] = UInt8(
              truncatingIfNeeded: value >> UInt64(8 * (count - 1 - index)))
          }
          Self.exercise(bytes)
        }
      }
    }
  }

  @Test(arguments: [UInt64(512), 4096])
  func `no entry of a table crashes or hangs`(cluster: UInt64) throws {
    let image = try Self.image(cluster: cluster)
    let header = try Qcow2Header(reading: SimulatedStorage(image))
    func word(_ offset: UInt64) -> UInt64 { image.bigEndian(at: Int(offset), count: 8) ?? 0 }
    let tables = [
      header.refcountTableOffset, word(header.refcountTableOffset), header.level1Offset,
      word(header.level1Offset) & Mapping.offsetMask,
    ]
    let flag: UInt64 = 1 << 63
    var values: [UInt64] = [
      0, 1, 512, 513, cluster, cluster + 512, flag, flag | 1, flag | cluster, 1 << 62, .max, ~flag,
      flag | 1 << 55, (1 << 56) - 512, flag | UInt64(image.count), UInt64(image.count) & ~511,
    ]
    values += tables.flatMap { [$0, $0 | flag, $0 | 1 << 62, $0 | flag | 1] }
    for table in tables {
      for index in [UInt64(0), 1, 2, 8, 9, 17, 40] {
        for value in values {
          var bytes = image
          var replacement: [UInt8] = []
          replacement.append(bigEndian: value, count: 8)
          let place = Int(table + index * 8)
          guard place + 8 <= bytes.count else { continue }
          bytes.replaceSubrange(place..<place + 8, with: replacement)
          Self.exercise(bytes)
        }
      }
    }
  }

  @Test func `random damage is survived`() throws {
    let image = try Self.image()
    for seed in 0..<UInt64(1500) {
      var random = Generator(state: seed)
      var bytes = image
      // Tables lie at the beginning.
      for _ in 0...random.next(below: 8) {
        bytes[random.next(below: random.next(below: 2) == 0 ? 120 : 4096)] = UInt8(
          truncatingIfNeeded: random.next())
      }
      if random.next(below: 4) == 0 { bytes.removeLast(random.next(below: bytes.count)) }
      Self.exercise(bytes)
    }
  }

  @Test func `a table that data would be written over is an error with its place`() throws {
    let image = try Self.image()
    let header = try Qcow2Header(reading: SimulatedStorage(image))
    let level2 = (image.bigEndian(at: Int(header.level1Offset), count: 8) ?? 0) & Mapping.offsetMask
    for target in [header.level1Offset, header.refcountTableOffset, level2] {
      var bytes = image
      var entry: [UInt8] = []
      entry.append(bigEndian: target | 1 << 63, count: 8)
      let place = Int(level2) + 8 * 8
      bytes.replaceSubrange(place..<place + 8, with: entry)
      let storage = SimulatedStorage(bytes)
      let disk = try Qcow2Disk(storage: storage, backing: nil, isReadOnly: false)
      #expect(throws: BlockError.corrupt(imageOffset: target)) {
        try disk.write([UInt8](repeating: 1, count: 512), at: 4096)
      }
      // Nothing more is written, and the file says why.
      #expect(throws: BlockError.self) {
        try disk.write([UInt8](repeating: 1, count: 512), at: 100 << 10)
      }
      #expect(throws: BlockError.self) { try disk.close() }
      #expect(throws: DiskImageProblem.markedCorrupt) {
        try Qcow2Disk(storage: storage, backing: nil, isReadOnly: false)
      }
      _ = try Qcow2Disk(storage: storage, backing: nil, isReadOnly: true)
    }
  }

  @Test func `entries that lead nowhere are errors with their places`() throws {
    let image = try Self.image()
    let header = try Qcow2Header(reading: SimulatedStorage(image))
    let level2 = (image.bigEndian(at: Int(header.level1Offset), count: 8) ?? 0) & Mapping.offsetMask
    for (place, value) in [
      (header.level1Offset, UInt64(1) << 40), (level2 + 64, 1 << 40), (level2 + 64, .max),
    ] {
      var bytes = image
      var entry: [UInt8] = []
      entry.append(bigEndian: value, count: 8)
      bytes.replaceSubrange(Int(place)..<Int(place) + 8, with: entry)
      let disk = try Qcow2Disk(storage: SimulatedStorage(bytes), backing: nil, isReadOnly: true)
      #expect(throws: BlockError.corrupt(imageOffset: place)) {
        try disk.bytes(at: 4096, count: 512)
      }
    }
  }

  @Test func `what is not supported is refused by name`() throws {
    let image = try Self.image()
    func problem(_ offset: Int, _ byte: UInt8) -> DiskImageProblem? {
      var bytes = image
      bytes[offset] |= byte
      do {
        _ = try Qcow2Header(reading: SimulatedStorage(bytes))
        return nil
      } catch { return error }
    }
    #expect(problem(79, 1 << 2) == .unsupported("an external data file"))
    #expect(problem(79, 1 << 4) == .unsupported("extended L2 entries"))
    #expect(problem(79, 1 << 5) == .unsupported("the incompatible feature number 5"))
    #expect(problem(35, 1) == .unsupported("AES encryption"))
    #expect(problem(35, 2) == .unsupported("LUKS encryption"))
    #expect(problem(7, 4) == .unsupported("qcow2 version 7"))
    #expect(problem(87, 1 << 6) == nil)
  }

  @Test func `a compressed cluster that is none is an error`() throws {
    let image = try Self.image()
    let report = try check(SimulatedStorage(image))
    #expect(report.compressedClusters == 1)
    for index in 0..<image.count / 512 * 512 where index % 512 == 0 && index > 4096 {
      var bytes = image
      for byte in 0..<32 { bytes[index + byte] ^= 0xFF }
      Self.exercise(bytes)
    }
  }
}
