import Bits
public import DeviceModel
public import MachineTypes

/// The high-precision event timers (IA-PC HPET specification 1.0a): three timers on one 64-bit counter
/// of 100 MHz, at FED00000h.
public struct HPET: MemoryMappedDevice, TimedDevice, SavableDevice {
  public static let frequency = ClockFrequency(hertz: 100_000_000)
  static let timerCount = 3
  /// GCAP_ID: 10 ns a tick, Intel, legacy replacement, 64 bit, three timers, revision 1.
  public static let capabilities: UInt64 = 0x0098_9680_8086_A201
  /// Tn_INT_ROUTE_CAP: I/O APIC inputs 20…23.
  static let routeMask: UInt64 = 0x00F0_0000

  public struct State: Codable, Equatable, Sendable {
    /// GEN_CONF.
    var configuration: UInt64
    /// GINTR_STA.
    var interruptStatus: UInt64
    /// The counter's value at `counterTick`, or for ever while it is halted.
    var counter: UInt64
    var counterTick: UInt64
    var timers: [HPETTimer]

    static let powerOn = State(
      configuration: 0, interruptStatus: 0, counter: 0, counterTick: 0,
      timers: Array(repeating: .powerOn, count: HPET.timerCount))
  }

  private let clock: any MachineClock
  /// The lines to I/O APIC inputs, by number.
  private let lines: [UInt8: any InterruptLine]
  /// IRQ 0 and IRQ 8 in legacy replacement mode.
  private let legacyLines: [any InterruptLine]
  private let legacyReplacementChanged: @Sendable (Bool) -> Void
  private var state: State = .powerOn

  /// - Parameters:
  ///   - lines: to I/O APIC inputs 20…23.
  ///   - legacyLines: IRQ 0 and IRQ 8.
  ///   - legacyReplacementChanged: whether timers 0 and 1 now stand in for PIT and RTC.
  public init(
    clock: any MachineClock, lines: [UInt8: any InterruptLine],
    legacyLines: [any InterruptLine],
    legacyReplacementChanged: @escaping @Sendable (Bool) -> Void
  ) {
    precondition(legacyLines.count == 2)
    self.clock = clock
    self.lines = lines
    self.legacyLines = legacyLines
    self.legacyReplacementChanged = legacyReplacementChanged
  }

  private var isEnabled: Bool { state.configuration[bit: 0] }
  private var isLegacyReplacement: Bool { state.configuration[bit: 1] }

  private var counter: UInt64 {
    guard isEnabled else { return state.counter }
    return state.counter &+ (Self.frequency.ticks(at: clock.now) &- state.counterTick)
  }

  // MARK: Registers

  public mutating func read(
    from offset: UInt64, width: AccessWidth
  ) throws(BusError) -> UInt64 {
    advance()
    let shift = try Self.shift(offset, width)
    return register(at: offset & ~7) >> shift
  }

  public mutating func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    advance()
    let shift = try Self.shift(offset, width)
    writeRegister(at: offset & ~7, value << shift, mask: width.allOnes << shift)
    return .none
  }

  /// Only aligned doublewords and quadwords (specification 2.3).
  private static func shift(_ offset: UInt64, _ width: AccessWidth) throws(BusError) -> UInt64 {
    switch width {
    case .quadword where offset & 7 == 0: return 0
    case .doubleword where offset & 3 == 0: return 8 * (offset & 4)
    case .quadword, .doubleword: throw .noSuchRegister
    case .word, .byte: throw .noSuchRegister
    }
  }

  private func register(at offset: UInt64) -> UInt64 {
    switch offset {
    case 0x000: return Self.capabilities
    case 0x010: return state.configuration
    case 0x020: return state.interruptStatus
    case 0x0F0: return counter
    default:
      guard let (index, register) = Self.timerRegister(at: offset) else { return 0 }
      let timer = state.timers[index]
      return register == 0 ? timer.configurationValue : register == 8 ? timer.comparator : 0
    }
  }

  private mutating func writeRegister(at offset: UInt64, _ bits: UInt64, mask: UInt64) {
    switch offset {
    case 0x010: writeConfiguration(state.configuration & ~mask | bits)
    case 0x020: clearStatus(bits)
    case 0x0F0:
      guard !isEnabled else { return }
      state.counter = state.counter & ~mask | bits
    default:
      guard let (index, register) = Self.timerRegister(at: offset) else { return }
      writeTimer(index, register, bits, mask: mask)
    }
  }

  private static func timerRegister(at offset: UInt64) -> (index: Int, register: UInt64)? {
    guard offset >= 0x100, offset < 0x100 + 0x20 * UInt64(timerCount) else { return nil }
    return (Int((offset - 0x100) / 0x20), offset & 0x1F)
  }

  private mutating func writeConfiguration(_ value: UInt64) {
    let now = Self.frequency.ticks(at: clock.now)
    let before = state.configuration
    state.counter = counter
    state.counterTick = now
    state.configuration = value & 3
    if (before ^ value)[bit: 1] {
      for index in 0..<Self.timerCount { line(of: index)?.set(false) }
      legacyReplacementChanged(isLegacyReplacement)
    }
    guard isEnabled, !before[bit: 0] else { return }
    for index in 0..<Self.timerCount { state.timers[index].aim(from: state.counter) }
  }

  private mutating func clearStatus(_ bits: UInt64) {
    for index in 0..<Self.timerCount where (bits & state.interruptStatus)[bit: index] {
      state.interruptStatus[bit: index] = false
      line(of: index)?.set(false)
    }
  }

  private mutating func writeTimer(
    _ index: Int, _ register: UInt64, _ bits: UInt64, mask: UInt64
  ) {
    if register == 0 {
      line(of: index)?.set(false)
      state.timers[index].writeConfiguration(bits, mask: mask)
      state.interruptStatus[bit: index] = false
    } else if register == 8 {
      state.timers[index].writeComparator(bits, mask: mask)
    } else {
      return
    }
    if isEnabled { state.timers[index].aim(from: counter) }
  }

  // MARK: Interrupts

  private func line(of index: Int) -> (any InterruptLine)? {
    if isLegacyReplacement, index < 2 { return legacyLines[index] }
    return lines[state.timers[index].route]
  }

  public var nextDeadline: VirtualInstant? {
    guard isEnabled else { return nil }
    let targets = state.timers.compactMap(\.target)
    guard let target = targets.min() else { return nil }
    let (tick, overflow) = state.counterTick.addingReportingOverflow(target &- state.counter)
    return overflow ? nil : Self.frequency.instant(ofTick: tick)
  }

  public mutating func advance() {
    guard isEnabled else { return }
    let now = counter
    for index in 0..<Self.timerCount {
      guard let target = state.timers[index].target, target <= now else { continue }
      state.timers[index].expired(at: now)
      raise(index)
    }
  }

  private mutating func raise(_ index: Int) {
    let timer = state.timers[index]
    if timer.isLevelTriggered {
      state.interruptStatus[bit: index] = true
      if timer.isInterruptEnabled { line(of: index)?.set(true) }
    } else if timer.isInterruptEnabled, let line = line(of: index) {
      line.set(false)
      line.set(true)
      line.set(false)
    }
  }

  // MARK: State

  public mutating func reset() {
    for index in 0..<Self.timerCount { line(of: index)?.set(false) }
    state = .powerOn
    legacyReplacementChanged(false)
  }

  public func save() -> State { state }

  public mutating func restore(_ state: State) throws(RestoreError) {
    guard state.timers.count == Self.timerCount else {
      throw RestoreError(device: "HPET", reason: "\(state.timers.count) timers")
    }
    self.state = state
    legacyReplacementChanged(isLegacyReplacement)
  }
}
