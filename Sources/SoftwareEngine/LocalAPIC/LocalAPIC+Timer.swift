import MachineTypes
import Synchronization

/// The APIC timer: one-shot, periodic and TSC-deadline (SDM 3A 11.5.4). The bus clock is 1 GHz, and the
/// time-stamp counter ticks once a nanosecond, from an offset.
///
/// Nothing counts: the count is computed from the clock when it is read. The machine's timer runs only
/// while an expiry would raise an interrupt.
extension LocalAPIC {
  enum TimerMode: UInt32 { case oneShot, periodic, deadline, reserved }

  /// The shortest distance of periodic interrupts, in nanoseconds: a guest cannot occupy the thread that
  /// serves all timers. Periods that are shorter lose interrupts, and keep their phase.
  static let shortestInterval: UInt64 = 20_000

  /// Raises the interrupt of an expiry up to now, if the alarm has not yet done so. Goes before everything
  /// that looks at the timer or changes it.
  ///
  /// Periods that were missed are no further interrupts: the IRR keeps one.
  func settleTimer() {
    let now = clock.now.nanoseconds
    let offset = tscOffset.load(ordering: .relaxed)
    if state.withLock({ $0.settle(now, tsc: now &+ offset) }) { raiseLocal(.timer) }
  }

  func timerFired() {
    settleTimer()
    armTimer()
  }

  func setInitialCount(_ value: UInt32) {
    settleTimer()
    let now = clock.now.nanoseconds
    state.withLock { state in
      guard state.timerMode != .deadline else { return }
      state.initialCount = value
      state.timerStart = now
      state.isCounting = value != 0
    }
    armTimer()
  }

  /// Goes on from the present count at the new pace.
  func setDivideConfiguration(_ value: UInt32) {
    settleTimer()
    let now = clock.now.nanoseconds
    state.withLock { state in
      let elapsed = (now &- state.timerStart) / state.timerDivisor
      state.divideConfiguration = value & 0xB
      state.timerStart = now &- elapsed &* state.timerDivisor
    }
    armTimer()
  }

  /// Writes the timer's local vector.
  func setTimerVector(_ value: UInt32) {
    settleTimer()
    state.withLock { state in
      let old = state.timerMode
      state.localVectors[0] = value & 0x700FF | (state.isMaskForced ? 1 << 16 : 0)
      if old != state.timerMode, old == .deadline || state.timerMode == .deadline {
        state.initialCount = 0
        state.isCounting = false
        state.tscDeadline = 0
      }
    }
    armTimer()
  }

  func currentCount() -> UInt32 {
    settleTimer()
    let now = clock.now.nanoseconds
    return state.withLock { $0.currentCount(now) }
  }

  /// IA32_TSC_DEADLINE.
  var deadline: UInt64 {
    settleTimer()
    return state.withLock { $0.tscDeadline }
  }

  func setDeadline(_ value: UInt64) {
    settleTimer()
    state.withLock { state in
      guard state.timerMode == .deadline else { return }
      state.tscDeadline = value
    }
    armTimer()
  }

  /// Arms the machine's timer for the next expiry.
  func armTimer() {
    let offset = tscOffset.load(ordering: .relaxed)
    timer.withLock { timer in
      let now = clock.now
      let delay = state.withLock {
        $0.timeToExpiry(now.nanoseconds, tsc: now.nanoseconds &+ offset)
      }
      if let delay {
        timer?.arm(at: now.advanced(byNanoseconds: delay))
      } else {
        timer?.disarm()
      }
    }
  }
}

extension LocalAPIC.State {
  var timerMode: LocalAPIC.TimerMode {
    // Two bits: there are four modes.
    LocalAPIC.TimerMode(rawValue: localVectors[0] >> 17 & 3) ?? .reserved
  }

  /// Whether local vectors are masked whatever is written to them.
  var isMaskForced: Bool { spurious & 1 << 8 == 0 }

  /// 1…128, by bits 3 and 1:0 of the divide configuration.
  var timerDivisor: UInt64 {
    let code = (divideConfiguration & 3) | (divideConfiguration >> 1 & 4)
    return code == 7 ? 1 : 2 << UInt64(code)
  }

  /// Nanoseconds from the initial count to 0: at most 2³⁹.
  private var timerPeriod: UInt64 { UInt64(initialCount) &* timerDivisor }

  /// Takes note of an expiry up to now. Returns whether there was one.
  mutating func settle(_ now: UInt64, tsc: UInt64) -> Bool {
    if timerMode == .deadline {
      guard tscDeadline != 0, tsc >= tscDeadline else { return false }
      tscDeadline = 0
      return true
    }
    guard isCounting else { return false }
    let elapsed = now &- timerStart
    guard elapsed >= timerPeriod else { return false }
    if timerMode == .periodic {
      timerStart &+= elapsed / timerPeriod * timerPeriod
    } else {
      isCounting = false
    }
    return true
  }

  func currentCount(_ now: UInt64) -> UInt32 {
    guard isCounting else { return 0 }
    let ticks = (now &- timerStart) / timerDivisor
    return ticks >= UInt64(initialCount) ? 0 : initialCount - UInt32(truncatingIfNeeded: ticks)
  }

  /// Nanoseconds to the next expiry that raises an interrupt; `nil` for never.
  func timeToExpiry(_ now: UInt64, tsc: UInt64) -> UInt64? {
    guard localVectors[0] & 1 << 16 == 0 else { return nil }
    if timerMode == .deadline {
      guard tscDeadline != 0 else { return nil }
      return tscDeadline > tsc ? tscDeadline - tsc : 0
    }
    guard isCounting else { return nil }
    let elapsed = now &- timerStart
    guard elapsed < timerPeriod else { return 0 }
    let remaining = timerPeriod - elapsed
    let shortest = LocalAPIC.shortestInterval
    guard timerMode == .periodic, timerPeriod < shortest, remaining < shortest else {
      return remaining
    }
    return remaining + ((shortest - remaining) / timerPeriod + 1) * timerPeriod
  }
}
