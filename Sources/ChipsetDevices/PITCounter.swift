import Bits

/// One counter of an 8254 (Intel 8254 data sheet, order 231164). Its time is a count of CLK ticks
/// that the caller passes in.
struct PITCounter: Codable, Equatable, Sendable {
  /// 0…5.
  var mode: UInt8
  /// 1: low byte only, 2: high byte only, 3: low then high.
  var access: UInt8
  var isBCD: Bool
  /// 1…65536.
  var count: UInt32
  /// A count written in mode 2 or 3 that takes over when the current period ends.
  var nextCount: UInt32?
  /// The tick at which `nextCount` takes over.
  var nextCountTick: UInt64
  /// The tick at which `count` began to run down; `nil` until a count or a trigger came.
  var startTick: UInt64?
  /// How far it had counted when the gate went low in mode 0 or 4.
  var heldElapsed: UInt64?
  var gate: Bool
  var hasCount: Bool
  var writtenLow: UInt8?
  var readsHighNext: Bool
  var latchedCount: UInt16?
  var latchedStatus: UInt8?

  static func powerOn(gate: Bool) -> PITCounter {
    PITCounter(
      mode: 0, access: 3, isBCD: false, count: 0x1_0000, nextCount: nil, nextCountTick: 0,
      startTick: nil, heldElapsed: nil, gate: gate, hasCount: false, writtenLow: nil,
      readsHighNext: false, latchedCount: nil, latchedStatus: nil)
  }

  private var isPeriodic: Bool { mode == 2 || mode == 3 }
  private var isTriggeredByGate: Bool { mode == 1 || mode == 5 }

  /// Whether restoring this value keeps every computation in range.
  var isValid: Bool {
    mode <= 5 && (1...3).contains(access) && (1...0x1_0000).contains(count)
      && (nextCount.map { (1...0x1_0000).contains($0) } ?? true)
  }

  // MARK: Output

  private func elapsed(at now: UInt64) -> UInt64? {
    if let heldElapsed { return heldElapsed }
    guard let startTick else { return nil }
    return now >= startTick ? now - startTick : 0
  }

  /// OUT.
  func output(at now: UInt64) -> Bool {
    guard let elapsed = elapsed(at: now) else { return mode != 0 }
    let count = UInt64(count)
    switch mode {
    case 0, 1: return elapsed >= count
    case 2: return !gate || elapsed % count != count - 1
    case 3: return !gate || elapsed % count < (count + 1) / 2
    default: return elapsed != count
    }
  }

  /// The first tick after `now` at which OUT rises; `nil` if it will not by itself.
  func nextRise(after now: UInt64) -> UInt64? {
    guard let startTick, heldElapsed == nil else { return nil }
    let count = UInt64(count)
    switch mode {
    case 2, 3:
      guard gate else { return nil }
      let passed = now >= startTick ? (now - startTick) / count + 1 : 1
      let rise = startTick &+ passed &* count
      guard let nextCount, rise > nextCountTick else { return rise }
      return nextCountTick &+ UInt64(nextCount)
    case 0, 1:
      let rise = startTick &+ count
      return rise > now ? rise : nil
    default:
      let rise = startTick &+ count &+ 1
      return rise > now ? rise : nil
    }
  }

  /// Lets a count that waited for the end of its predecessor's period take over.
  mutating func settle(at now: UInt64) {
    guard let nextCount, now >= nextCountTick else { return }
    count = nextCount
    startTick = nextCountTick
    self.nextCount = nil
  }

  // MARK: Programming

  mutating func writeControl(_ value: UInt8) {
    access = value[bits: 4...5]
    // Modes 6 and 7 are 2 and 3.
    let mode = value[bits: 1...3]
    self.mode = mode > 5 ? mode - 4 : mode
    isBCD = value[bit: 0]
    hasCount = false
    startTick = nil
    heldElapsed = nil
    nextCount = nil
    writtenLow = nil
    readsHighNext = false
    latchedCount = nil
    latchedStatus = nil
  }

  mutating func writeCount(_ value: UInt8, at now: UInt64) {
    switch access {
    case 1: load(UInt16(value), at: now)
    case 2: load(UInt16(value) << 8, at: now)
    default:
      if let low = writtenLow {
        writtenLow = nil
        load(UInt16(value) << 8 | UInt16(low), at: now)
      } else {
        writtenLow = value
        // In mode 0 the first byte stops the counting.
        if mode == 0 { startTick = nil }
      }
    }
  }

  private mutating func load(_ raw: UInt16, at now: UInt64) {
    let value = isBCD ? Self.decimal(raw) : UInt32(raw)
    let full: UInt32 = isBCD ? 10_000 : 0x1_0000
    let newCount = value == 0 ? full : value
    if isPeriodic, let startTick, gate {
      let period = UInt64(count)
      let passed = now >= startTick ? (now - startTick) / period + 1 : 1
      nextCount = newCount
      nextCountTick = startTick &+ passed &* period
    } else {
      count = newCount
      if !isTriggeredByGate {
        startTick = now
        heldElapsed = gate || isPeriodic ? nil : 0
        if isPeriodic, !gate { startTick = nil }
      }
    }
    hasCount = true
  }

  mutating func setGate(_ level: Bool, at now: UInt64) {
    guard level != gate else { return }
    if !level {
      if mode == 0 || mode == 4 { heldElapsed = elapsed(at: now) }
      gate = false
      return
    }
    gate = true
    if isTriggeredByGate || isPeriodic {
      if hasCount {
        if let nextCount { count = nextCount }
        nextCount = nil
        startTick = now
      }
    } else if let held = heldElapsed {
      startTick = now &- held
      heldElapsed = nil
    }
  }

  // MARK: Reading

  /// The counting element's value.
  private func value(at now: UInt64) -> UInt16 {
    let full: UInt64 = isBCD ? 10_000 : 0x1_0000
    let count = UInt64(count)
    let elapsed = elapsed(at: now) ?? 0
    let remaining: UInt64
    switch mode {
    case 2: remaining = count - elapsed % count
    case 3:
      // Counts down by two; the odd count's first half is one tick longer.
      let position = elapsed % count
      let high = (count + 1) / 2
      let inHalf = position < high ? position : position - high
      remaining = (count & ~1) &- 2 * min(inHalf, (count & ~1) / 2)
    default: remaining = (count % full + full - elapsed % full) % full
    }
    let truncated = UInt16(truncatingIfNeeded: remaining % full)
    return isBCD ? Self.bcd(truncated) : truncated
  }

  mutating func latchCount(at now: UInt64) {
    if latchedCount == nil { latchedCount = value(at: now) }
  }

  mutating func latchStatus(at now: UInt64) {
    guard latchedStatus == nil else { return }
    var status = access << 4 | mode << 1 | (isBCD ? 1 : 0)
    status[bit: 7] = output(at: now)
    status[bit: 6] = !hasCount
    latchedStatus = status
  }

  mutating func read(at now: UInt64) -> UInt8 {
    if let status = latchedStatus {
      latchedStatus = nil
      return status
    }
    let value = latchedCount ?? value(at: now)
    switch access {
    case 1:
      latchedCount = nil
      return UInt8(truncatingIfNeeded: value)
    case 2:
      latchedCount = nil
      return UInt8(truncatingIfNeeded: value >> 8)
    default:
      if readsHighNext { latchedCount = nil }
      defer { readsHighNext.toggle() }
      return UInt8(truncatingIfNeeded: readsHighNext ? value >> 8 : value)
    }
  }

  // MARK: Decimal

  static func decimal(_ bcd: UInt16) -> UInt32 {
    (0..<4).reversed().reduce(0) { $0 * 10 + UInt32(bcd[bits: (4 * $1)...(4 * $1 + 3)]) }
  }

  static func bcd(_ value: UInt16) -> UInt16 {
    value % 10 | (value / 10 % 10) << 4 | (value / 100 % 10) << 8 | (value / 1000 % 10) << 12
  }
}
