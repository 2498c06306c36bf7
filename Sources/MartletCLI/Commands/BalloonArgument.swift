import ArgumentParser
import Martlet

/// `--balloon [on,][target=SIZE][,stats=SECONDS][,deflate-on-oom=on|off][,free-page-reporting=on|off]`
struct BalloonArgument: Equatable {
  var target: MemorySize?
  /// Seconds.
  var statisticsInterval: Int?
  var deflatesOnOutOfMemory = true
  var reportsFreePages = true

  static func argument(_ text: String) throws -> BalloonArgument {
    var balloon = BalloonArgument()
    guard text != "on" else { return balloon }
    // All that there is to say has a name.
    let named = text.hasPrefix("on,") ? String(text.dropFirst(3)) : text
    var options = try ArgumentOptions("balloon," + named)
    balloon.target = try options.take("target").map(MemorySize.argument)
    balloon.statisticsInterval = try options.take("stats").map { text in
      guard let seconds = Int(text), (1...86_400).contains(seconds) else {
        throw ValidationError("stats=\(text) is no interval: write 1 to 86400 seconds")
      }
      return seconds
    }
    balloon.deflatesOnOutOfMemory = try options.takeSwitch("deflate-on-oom") ?? true
    balloon.reportsFreePages = try options.takeSwitch("free-page-reporting") ?? true
    try options.finish(
      "a balloon: there are target=SIZE, stats=SECONDS, deflate-on-oom=off and free-page-reporting=off"
    )
    return balloon
  }

  var configuration: VirtioMemoryBalloonDeviceConfiguration {
    VirtioMemoryBalloonDeviceConfiguration(
      targetMemorySize: target?.byteCount,
      statisticsInterval: statisticsInterval.map { .seconds($0) },
      deflatesOnOutOfMemory: deflatesOnOutOfMemory, reportsFreePages: reportsFreePages)
  }
}
