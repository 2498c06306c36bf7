import DeviceModel
import Foundation
import HostSystem
import MartletTesting
import Testing

@testable import DiskImages

/// A folder that goes away with the test.
final class ImageFolder {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> String { url.appending(path: name).path }

  func write(_ bytes: [UInt8], to name: String) throws -> String {
    let path = path(name)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return path
  }

  func bytes(of name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: url.appending(path: name)))
  }
}

struct ProcessResult {
  var status: Int32
  var output: String
}

/// Runs a program and returns what it wrote, errors and all.
@discardableResult
func run(_ program: String, _ arguments: [String], succeeds: Bool = true) throws -> ProcessResult {
  let process = Process()
  process.executableURL = URL(
    fileURLWithPath: program.hasPrefix("/") ? program : "/usr/bin/\(program)")
  process.arguments = arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = pipe
  process.standardInput = FileHandle.nullDevice
  try process.run()
  let output = pipe.fileHandleForReading.readDataToEndOfFile()
  let result = ProcessResult(
    status: process.waitUntilEnded(), output: String(decoding: output, as: UTF8.self))
  if succeeds && result.status != 0 {
    Issue.record("\(program) \(arguments.joined(separator: " ")): \(result.output)")
  }
  return result
}

let hasQemuImg = FileManager.default.isExecutableFile(atPath: "/usr/bin/qemu-img")

/// An executable that was built with these tests.
func builtProgram(_ name: String) -> String {
  let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
  return URL(fileURLWithPath: tests).deletingLastPathComponent().appending(path: name).path
}

extension SynchronousDisk {
  func bytes(at offset: UInt64 = 0, count: Int? = nil) throws(BlockError) -> [UInt8] {
    let buffer = MemorySegments(zeroed: count ?? Int(byteCount - offset))
    try perform(.read(offset: offset, into: buffer))
    return buffer.bytes()
  }

  func write(_ bytes: [UInt8], at offset: UInt64) throws(BlockError) {
    let buffer = MemorySegments(zeroed: bytes.count)
    buffer.write(bytes)
    try perform(.write(offset: offset, from: buffer, isDurable: false))
  }
}

extension BlockBackend {
  func carryOut(_ request: BlockRequest) async -> Result<Void, BlockError> {
    await withCheckedContinuation { continuation in
      submit(request) { continuation.resume(returning: $0) }
    }
  }
}

/// The bytes of a new image.
func newImage(_ byteCount: UInt64, _ change: (inout ImageOptions) -> Void = { _ in }) throws
  -> [UInt8]
{
  var options = ImageOptions(format: .qcow2, byteCount: byteCount)
  change(&options)
  let storage = SimulatedStorage([])
  try Qcow2Creation(options, byteCount: byteCount).write(to: storage)
  return storage.bytes
}

func check(_ storage: any ImageStorage) throws -> CheckReport {
  try Qcow2Check(storage, Qcow2Header(reading: storage)).check()
}

/// What a disk should hold, and what is done to it at random.
struct DiskModel {
  var bytes: [UInt8]
  var random: Generator
  private var stamp: UInt8 = 0

  init(_ bytes: [UInt8], seed: UInt64) {
    self.bytes = bytes
    random = Generator(state: seed)
  }

  enum Operation {
    case write
    case writeZeroes(mayUnmap: Bool)
    case discard
    case flush
    case read
  }

  /// A range of sectors, short ones more often than long ones.
  mutating func range(longest: Int) -> Range<Int> {
    let sectors = bytes.count / 512
    let most = min(sectors, max(1, random.next(below: 3) == 0 ? longest / 512 : 16))
    let count = 1 + random.next(below: most)
    let start = random.next(below: sectors - count + 1)
    return start * 512..<(start + count) * 512
  }

  /// Does something to the disk and to the model.
  ///
  /// - Returns: what, and where.
  @discardableResult
  mutating func step(
    _ disk: any SynchronousDisk, longest: Int, canDiscard: Bool = true
  ) throws -> (Operation, Range<Int>) {
    let range = range(longest: longest)
    let offset = UInt64(range.lowerBound)
    let count = UInt64(range.count)
    switch random.next(below: 10) {
    case 0, 1, 2, 3:
      stamp &+= 1
      let data = (0..<range.count).map { stamp &+ UInt8(truncatingIfNeeded: $0 / 512) | 1 }
      try disk.write(data, at: offset)
      bytes.replaceSubrange(range, with: data)
      return (.write, range)
    case 4, 5:
      let mayUnmap = random.next(below: 2) == 0
      try disk.perform(.writeZeroes(offset: offset, byteCount: count, mayUnmap: mayUnmap))
      bytes.replaceSubrange(range, with: repeatElement(0, count: range.count))
      return (.writeZeroes(mayUnmap: mayUnmap), range)
    case 6 where canDiscard:
      try disk.perform(.discard(offset: offset, byteCount: count))
      // It may read as anything that this image held there: find out what.
      let now = try disk.bytes(at: offset, count: range.count)
      for (index, place) in range.enumerated() where now[index] != bytes[place] {
        #expect(now[index] == 0)
        bytes[place] = now[index]
      }
      return (.discard, range)
    case 7:
      try disk.perform(.flush)
      return (.flush, range)
    default:
      #expect(try disk.bytes(at: offset, count: range.count) == Array(bytes[range]))
      return (.read, range)
    }
  }
}
