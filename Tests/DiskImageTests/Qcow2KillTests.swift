import Foundation
import HammerPlan
import HostSystem
import MartletTesting
import Testing

@testable import DiskImages

/// A process that writes to an image is killed at random moments. `MARTLET_KILL_COUNT` sets how often, `MARTLET_KILL_SEED`
/// which moments.
@Suite(.serialized, .enabled(if: hasQemuImg, "needs qemu-utils")) struct Qcow2KillTests {
  static let environment = ProcessInfo.processInfo.environment
  static let count = environment["MARTLET_KILL_COUNT"].flatMap { Int($0) } ?? 12
  static let firstSeed = environment["MARTLET_KILL_SEED"].flatMap { UInt64($0) } ?? 1

  @Test(arguments: (0..<UInt64(count)).map { $0 + firstSeed })
  func `a process killed while it writes leaves a consistent image with all that was flushed`(
    seed: UInt64
  ) async throws {
    var random = Generator(state: seed)
    let folder = try ImageFolder()
    let path = folder.path("image.qcow2")
    var options = ImageOptions(format: .qcow2, byteCount: 24 << 20)
    options.clusterByteCount = [512, 4096, 65_536][random.next(below: 3)]
    options.refcountBits = [16, 64, 2][random.next(below: 3)]
    options.hasLazyRefcounts = random.next(below: 3) == 0
    try DiskImage.create(path: path, options)
    // The same image goes through several lives.
    var contents = [[UInt8]](
      repeating: [UInt8](repeating: 0, count: 512), count: 24 << 11)
    for life in 0..<3 {
      let hammerSeed = seed << 8 | UInt64(life)
      let flushed = try hammer(path, hammerSeed, microseconds: 20_000 + random.next(below: 400_000))
      let place = "seed \(seed), life \(life), step \(flushed.map(String.init) ?? "none")"
      try expectConsistent(path, options, place)
      try expectFlushed(path, hammerSeed, flushed, &contents, place)
    }
  }

  /// Runs the hammer and kills it.
  ///
  /// - Returns: the step of the last flush that was complete.
  private func hammer(_ path: String, _ seed: UInt64, microseconds: Int) throws -> Int? {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: builtProgram("martlet-disk-hammer"))
    process.arguments = [path, String(seed)]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    usleep(UInt32(microseconds))
    kill(process.processIdentifier, SIGKILL)
    let output = String(
      decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    #expect(!output.contains("failed"), "\(output)")
    #expect(process.waitUntilEnded() == -SIGKILL)
    // A line that is not complete is not to be believed.
    return output.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      .last.flatMap { Int($0) }
  }

  private func expectConsistent(_ path: String, _ options: ImageOptions, _ place: String) throws {
    let header = try Qcow2Header(reading: ImageFile(path: path, isReadOnly: true))
    let isDirty = header.incompatible.contains(.dirty)
    let result = try run("qemu-img", ["check", path], succeeds: false)
    if options.hasLazyRefcounts && isDirty {
      #expect([0, 2, 3].contains(result.status), "\(place): \(result.output)")
    } else {
      #expect(
        result.status == 0 || result.status == 3 && isDirty, "\(place): \(result.output)")
    }
    // Whoever opens it next finds it whole: a copy for QEMU, the image for us.
    let copy = path + ".copy"
    try? FileManager.default.removeItem(atPath: copy)
    try FileManager.default.copyItem(atPath: path, toPath: copy)
    try run("qemu-img", ["check", "-q", "-r", "all", copy])
    try run("qemu-img", ["check", copy])
    let disk = try DiskImage.openSynchronous(path: path, isReadOnly: false)
    try disk.close()
    try run("qemu-img", ["check", path])
  }

  /// - Parameter contents: what each sector held before, and afterwards holds.
  private func expectFlushed(
    _ path: String, _ seed: UInt64, _ flushed: Int?, _ contents: inout [[UInt8]], _ place: String
  ) throws {
    let disk = try DiskImage.openSynchronous(path: path, isReadOnly: true)
    let now = try disk.bytes()
    try disk.close()
    let end = flushed ?? -1
    var last = [Int?](repeating: nil, count: contents.count)
    var later: [Int: [Int]] = [:]
    var plan = HammerPlan(seed: seed, sectorCount: contents.count)
    // Far more steps than any hammer does after its last flush.
    for step in 0..<end + 3000 {
      let step = (number: step, what: plan.next())
      let sectors: Range<Int>
      let isZero: Bool
      switch step.what {
      case .flush: continue
      case .write(let range): (sectors, isZero) = (range, false)
      case .writeZeroes(let range): (sectors, isZero) = (range, true)
      }
      for sector in sectors {
        let mark = isZero ? -1 - step.number : step.number
        if step.number <= end {
          last[sector] = mark
        } else {
          later[sector, default: []].append(mark)
        }
      }
    }
    func bytes(_ mark: Int, _ sector: Int) -> [UInt8] {
      mark < 0
        ? [UInt8](repeating: 0, count: 512)
        : HammerPlan.contents(seed: seed, step: mark, sector: sector)
    }
    for sector in contents.indices {
      let held = Array(now[sector * 512..<sector * 512 + 512])
      let expected = last[sector].map { bytes($0, sector) } ?? contents[sector]
      let isRight =
        held == expected || (later[sector] ?? []).contains { bytes($0, sector) == held }
      #expect(isRight, "\(place): sector \(sector)")
      if !isRight { return }
      contents[sector] = held
    }
  }
}
