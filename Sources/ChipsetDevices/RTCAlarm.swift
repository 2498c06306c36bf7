/// The MC146818's alarm; `nil` fields match always.
struct RTCAlarm: Equatable, Sendable {
  var hour: Int?
  var minute: Int?
  var second: Int?

  /// How many seconds after `secondOfDay` the alarm next strikes, 1…86400; `nil` if never.
  func secondsUntilMatch(after secondOfDay: Int) -> Int? {
    guard (0..<24).contains(hour ?? 0), (0..<60).contains(minute ?? 0),
      (0..<60).contains(second ?? 0)
    else { return nil }
    var time = secondOfDay + 1
    let end = secondOfDay + 86_400
    while time <= end {
      if let hour, time / 3600 % 24 != hour {
        time += 3600 - time % 3600
      } else if let minute, time / 60 % 60 != minute {
        time += 60 - time % 60
      } else if let second, time % 60 != second {
        time += 1
      } else {
        return time - secondOfDay
      }
    }
    return nil
  }
}
