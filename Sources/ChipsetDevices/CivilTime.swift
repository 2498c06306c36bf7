/// A date and time of the proleptic Gregorian calendar, UTC.
struct CivilTime: Equatable, Sendable {
  var year: Int
  /// 1…12.
  var month: Int
  /// 1…31.
  var day: Int
  var hour: Int
  var minute: Int
  var second: Int

  /// Sunday is 1, as the MC146818 counts.
  var weekday: Int {
    let days = Self.floorDivide(secondsSinceEpoch, 86_400)
    return Int(((days + 4) % 7 + 7) % 7) + 1
  }

  private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor)
  }

  /// - Parameter secondsSinceEpoch: from 1970-01-01 00:00 UTC on; clamped to the years 0…9999.
  init(secondsSinceEpoch: Int64) {
    let seconds = min(max(secondsSinceEpoch, -62_167_219_200), 253_402_300_799)
    let days = Self.floorDivide(seconds, 86_400)
    let rest = Int(seconds - days * 86_400)
    // Years that begin in March put the leap day last; eras of 400 years all have 146,097 days.
    let shifted = days + 719_468
    let era = Self.floorDivide(shifted, 146_097)
    let dayOfEra = Int(shifted - era * 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    year = yearOfEra + Int(era) * 400 + (month <= 2 ? 1 : 0)
    hour = rest / 3600
    minute = rest / 60 % 60
    second = rest % 60
  }

  init(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
  }

  /// Fields out of their range carry over, as a clock chip loaded with them would.
  var secondsSinceEpoch: Int64 {
    let shiftedYear = Int64(month <= 2 ? year - 1 : year)
    let era = Self.floorDivide(shiftedYear, 400)
    let yearOfEra = shiftedYear - era * 400
    let shiftedMonth = Int64(month > 2 ? month - 3 : month + 9)
    let dayOfYear = (153 * shiftedMonth + 2) / 5 + Int64(day) - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    return days * 86_400 + Int64(hour) * 3600 + Int64(minute) * 60 + Int64(second)
  }
}
