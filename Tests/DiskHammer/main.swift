import DeviceModel
import DiskImages
import Glibc
import HammerPlan
import HostSystem

// martlet-disk-hammer IMAGE SEED: writes to an image until it is killed, several writes at a time, and says on
// standard output, in a line for each, which flushes are complete: the number of the step.

func say(_ text: String) { try? HostFile.write(Array("\(text)\n".utf8), to: STDOUT_FILENO) }

guard CommandLine.arguments.count == 3, let seed = UInt64(CommandLine.arguments[2]) else {
  say("usage: martlet-disk-hammer IMAGE SEED")
  exit(64)
}

/// Requests that are under way.
let underWay = Monitor(0)

func submit(_ image: any BlockBackend, _ request: BlockRequest) {
  underWay.wait { $0 < 8 ? () : nil }
  underWay.withLock { $0 += 1 }
  image.submit(request) { result in
    if case .failure(let error) = result {
      say("failed: \(error)")
      exit(1)
    }
    underWay.update { $0 -= 1 }
  }
}

func hammer(_ image: any BlockBackend) {
  var plan = HammerPlan(seed: seed, sectorCount: Int(image.byteCount / 512))
  var step = 0
  while true {
    switch plan.next() {
    case .flush:
      // What is to be flushed is complete before, and what comes later begins afterwards.
      underWay.wait { $0 == 0 ? () : nil }
      submit(image, .flush)
      underWay.wait { $0 == 0 ? () : nil }
      say("\(step)")
    case .write(let sectors):
      let buffer = MemorySegments(zeroed: sectors.count * 512)
      for (index, sector) in sectors.enumerated() {
        buffer.write(
          HammerPlan.contents(seed: seed, step: step, sector: sector), at: index * 512)
      }
      waitForOverlaps(sectors)
      submit(
        image, .write(offset: UInt64(sectors.lowerBound) * 512, from: buffer, isDurable: false))
    case .writeZeroes(let sectors):
      waitForOverlaps(sectors)
      submit(
        image,
        .writeZeroes(
          offset: UInt64(sectors.lowerBound) * 512, byteCount: UInt64(sectors.count) * 512,
          mayUnmap: step % 2 == 0))
    }
    step += 1
  }
}

/// Sectors of what was begun since the last pause.
nonisolated(unsafe) var begun: [Range<Int>] = []

/// Two writes to one sector come one after the other, so that it is known which is the last.
func waitForOverlaps(_ sectors: Range<Int>) {
  if begun.contains(where: { $0.overlaps(sectors) }) || begun.count > 64 {
    underWay.wait { $0 == 0 ? () : nil }
    begun = []
  }
  begun.append(sectors)
}

do {
  hammer(try DiskImage.open(path: CommandLine.arguments[1], isReadOnly: false))
} catch {
  say("failed: \(error)")
  exit(1)
}
