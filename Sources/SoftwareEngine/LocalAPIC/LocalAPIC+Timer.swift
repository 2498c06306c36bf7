import MachineTypes
import Synchronization

/// The APIC timer: one-shot, periodic and TSC-deadline (SDM 3A 11.5.4). The bus clock is 1 GHz.
extension LocalAPIC {
  private enum Mode: UInt32 { case oneShot, periodic, deadline, reserved }

  func setInitialCount(_ value: UInt32) {
    let now = clock.now.nanoseconds
    state.withLock { state in
      guard state.timerMode != Mode.deadline.rawValue else { return }
      state.initialCount = value
      state.timerStart = now
    }
    armTimer()
  }

  func setTimerMode(_ offset: UInt32, _ value: UInt32) {
    let now = clock.now.nanoseconds
    state.withLock { state in
      if offset == 0x3E0 {
        state.divideConfiguration = value & 0xB
        return
      }
      let old = state.timerMode
      state.localVectors[0] = value & 0x710FF | (state.spurious & 1 << 8 == 0 ? 1 << 16 : 0)
      let new = state.timerMode
      if old != new, old == Mode.deadline.rawValue || new == Mode.deadline.rawValue {
        state.initialCount = 0
        state.tscDeadline = 0
        state.timerStart = now
      }
    }
    armTimer()
  }

  func currentCount() -> UInt32 {
    let now = clock.now.nanoseconds
    return state.withLock { state in
      guard state.initialCount != 0, state.timerMode != Mode.deadline.rawValue else { return 0 }
      let ticks = (now &- state.timerStart) / state.timerDivisor
      if state.timerMode == Mode.periodic.rawValue {
        return state.initialCount - UInt32(ticks % UInt64(state.initialCount))
      }
      return ticks >= UInt64(state.initialCount) ? 0 : state.initialCount - UInt32(ticks)
    }
  }

  var deadline: UInt64 { state.withLock { $0.tscDeadline } }

  func setDeadline(_ value: UInt64) {
    state.withLock { state in
      guard state.timerMode == Mode.deadline.rawValue else { return }
      state.tscDeadline = value
    }
    armTimer()
  }

  /// Arms the machine's timer for the next expiry.
  func armTimer() {
    let offset = tscOffset.load(ordering: .relaxed)
    let due: UInt64? = state.withLock { state in
      if state.timerMode == Mode.deadline.rawValue {
        return state.tscDeadline == 0
          ? nil
          : (state.tscDeadline >= offset || offset > 1 << 63 ? state.tscDeadline &- offset : 0)
      }
      guard state.initialCount != 0 else { return nil }
      let period = UInt64(state.initialCount) * state.timerDivisor
      return state.timerStart.addingReportingOverflow(period).overflow
        ? nil : state.timerStart + period
    }
    let timer = withTimer()
    if let due {
      timer?.arm(at: VirtualInstant(nanoseconds: due))
    } else {
      timer?.disarm()
    }
  }

  func timerFired() {
    let now = clock.now.nanoseconds
    let offset = tscOffset.load(ordering: .relaxed)
    let hasExpired = state.withLock { state in
      if state.timerMode == Mode.deadline.rawValue {
        guard state.tscDeadline != 0, now &+ offset >= state.tscDeadline else { return false }
        state.tscDeadline = 0
        return true
      }
      guard state.initialCount != 0 else { return false }
      let period = UInt64(state.initialCount) * state.timerDivisor
      guard now >= state.timerStart, now - state.timerStart >= period else { return false }
      if state.timerMode == Mode.periodic.rawValue {
        // Missed periods are one interrupt, as the IRR keeps one; the phase is kept.
        state.timerStart += (now - state.timerStart) / period * period
      } else {
        state.initialCount = 0
      }
      return true
    }
    if hasExpired { raiseLocal(.timer) }
    armTimer()
  }
}

extension LocalAPIC.State {
  var timerMode: UInt32 { (localVectors[0] >> 17) & 3 }

  /// 1…128, by bits 3 and 1:0 of the divide configuration.
  var timerDivisor: UInt64 {
    let code = (divideConfiguration & 3) | (divideConfiguration >> 1 & 4)
    return code == 7 ? 1 : 2 << UInt64(code)
  }
}
