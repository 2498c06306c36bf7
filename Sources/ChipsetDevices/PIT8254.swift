import Bits
public import DeviceModel
public import MachineTypes

/// The 8254 timer and port 61h (Intel 8254 data sheet; 82371AB data sheet, NMI status and control).
///
/// Offsets: 0…3 the 8254 (ports 40h…43h), 4 port 61h. Counter 0 drives IRQ 0; counter 2's gate and
/// output are on port 61h, where Linux calibrates its clocks by them.
public struct PIT8254: PortIODevice, TimedDevice, SavableDevice {
  /// CLK: a third of the NTSC colour subcarrier times four.
  public static let frequency = ClockFrequency(hertz: 1_193_182)
  /// Half a period of the refresh request that port 61h bit 4 shows, in nanoseconds.
  static let refreshToggleNanoseconds: UInt64 = 15_085
  /// More lost ticks than this are not made up for.
  static let maximumOwedTicks: UInt64 = 1000

  public struct State: Codable, Equatable, Sendable {
    var counters: [PITCounter]
    /// Port 61h bits 0…3: gate 2, speaker data, and the two check disables.
    var control61: UInt8
    /// The next tick at which counter 0's output rises.
    var nextRise: UInt64?
    /// Rises that came and went between two calls, to be made up for.
    var owedTicks: UInt64
    /// When to deliver the next owed one.
    var owedDeadline: UInt64?

    static let powerOn = State(
      counters: [.powerOn(gate: true), .powerOn(gate: true), .powerOn(gate: false)],
      control61: 0, nextRise: nil, owedTicks: 0, owedDeadline: nil)
  }

  private let clock: any MachineClock
  private let interrupt: any InterruptLine
  private var state: State = .powerOn

  public init(clock: any MachineClock, interrupt: any InterruptLine) {
    self.clock = clock
    self.interrupt = interrupt
  }

  private var now: UInt64 { Self.frequency.ticks(at: clock.now) }

  // MARK: Ports

  public mutating func read(
    from offset: UInt16, width: AccessWidth
  ) throws(BusError) -> UInt32 {
    guard width == .byte else { throw .wrongWidth }
    let now = now
    settle(at: now)
    switch offset {
    case 0...2: return UInt32(state.counters[Int(offset)].read(at: now))
    case 4: return UInt32(readControl61(at: now))
    default: throw .noSuchRegister
    }
  }

  public mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .byte else { throw .wrongWidth }
    let now = now
    settle(at: now)
    let value = UInt8(truncatingIfNeeded: value)
    switch offset {
    case 0...2:
      state.counters[Int(offset)].writeCount(value, at: now)
      if offset == 0 { reschedule(at: now) }
    case 3: writeControlWord(value, at: now)
    case 4:
      state.control61 = value & 0x0F
      state.counters[2].setGate(value[bit: 0], at: now)
    default: throw .noSuchRegister
    }
    return .none
  }

  private func readControl61(at now: UInt64) -> UInt8 {
    var value = state.control61
    value[bit: 4] = clock.now.nanoseconds / Self.refreshToggleNanoseconds & 1 != 0
    value[bit: 5] = state.counters[2].output(at: now)
    return value
  }

  private mutating func writeControlWord(_ value: UInt8, at now: UInt64) {
    let selected = value[bits: 6...7]
    if selected == 3 {
      for index in 0..<3 where value[bit: index + 1] {
        if !value[bit: 5] { state.counters[index].latchCount(at: now) }
        if !value[bit: 4] { state.counters[index].latchStatus(at: now) }
      }
    } else if value[bits: 4...5] == 0 {
      state.counters[Int(selected)].latchCount(at: now)
    } else {
      state.counters[Int(selected)].writeControl(value)
      if selected == 0 { reschedule(at: now) }
    }
  }

  // MARK: IRQ 0

  private mutating func settle(at now: UInt64) {
    deliverRises(at: now)
    for index in 0..<3 { state.counters[index].settle(at: now) }
  }

  /// After counter 0 was programmed: forgets what is owed and starts afresh.
  private mutating func reschedule(at now: UInt64) {
    state.nextRise = state.counters[0].nextRise(after: now)
    state.owedTicks = 0
    state.owedDeadline = nil
    interrupt.set(state.counters[0].output(at: now))
  }

  public var nextDeadline: VirtualInstant? {
    let rise = state.nextRise.map { Self.frequency.instant(ofTick: $0) }
    guard let owed = state.owedDeadline.map({ VirtualInstant(nanoseconds: $0) }) else {
      return rise
    }
    return rise.map { min($0, owed) } ?? owed
  }

  public mutating func advance() { settle(at: now) }

  /// One edge for all rises that are due. Those that got lost this way follow one by one, half a
  /// period apart, so that a guest that counts ticks keeps its time.
  private mutating func deliverRises(at now: UInt64) {
    if let rise = state.nextRise, rise <= now {
      let missed = missedRises(since: rise, at: now)
      state.counters[0].settle(at: now)
      state.nextRise = state.counters[0].nextRise(after: now)
      state.owedTicks = min(state.owedTicks &+ missed, Self.maximumOwedTicks)
      pulse()
    } else if let owed = state.owedDeadline, owed <= clock.now.nanoseconds {
      state.owedTicks -= min(state.owedTicks, 1)
      pulse()
    } else {
      return
    }
    scheduleOwed()
  }

  private func missedRises(since rise: UInt64, at now: UInt64) -> UInt64 {
    let counter = state.counters[0]
    guard counter.mode == 2 || counter.mode == 3 else { return 0 }
    return (now - rise) / UInt64(counter.count)
  }

  private mutating func scheduleOwed() {
    guard state.owedTicks > 0 else {
      state.owedDeadline = nil
      return
    }
    let halfPeriod = UInt64(state.counters[0].count) * 500_000_000 / Self.frequency.hertz
    state.owedDeadline = clock.now.advanced(byNanoseconds: max(halfPeriod, 1)).nanoseconds
  }

  private func pulse() {
    interrupt.set(false)
    interrupt.set(true)
  }

  // MARK: State

  public mutating func reset() {
    state = .powerOn
    interrupt.set(false)
  }

  public func save() -> State { state }

  public mutating func restore(_ state: State) throws(RestoreError) {
    guard state.counters.count == 3, state.counters.allSatisfy(\.isValid) else {
      throw RestoreError(device: "8254", reason: "impossible counters")
    }
    self.state = state
  }
}
