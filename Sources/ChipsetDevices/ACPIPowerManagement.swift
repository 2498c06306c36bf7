import Bits
public import DeviceModel
public import MachineTypes

/// The fixed hardware of ACPI (ACPI 6.4, 4.8): PM1a event and control blocks, PM timer, GPE0 block.
///
/// Offsets from the PM base: 0h PM1a_STS, 2h PM1a_EN, 4h PM1a_CNT, 8h PM_TMR, 20h GPE0_STS,
/// 22h GPE0_EN. Always in ACPI mode: there is no SMI command port. Drives the SCI, level-triggered.
public struct ACPIPowerManagement: PortIODevice, TimedDevice, SavableDevice {
  public static let timerFrequency = ClockFrequency(hertz: 3_579_545)
  /// SLP_TYP of S5, soft-off; what `\_S5` must say.
  public static let softOffSleepType: UInt8 = 5
  /// SLP_TYP of S0, working.
  public static let workingSleepType: UInt8 = 0
  public static let portCount: UInt16 = 0x24

  public enum TimerWidth: Int, Sendable {
    case bits24 = 24
    case bits32 = 32
  }

  public struct State: Codable, Equatable, Sendable {
    var status: UInt16
    var enable: UInt16
    var control: UInt16
    var generalStatus: UInt16
    var generalEnable: UInt16
    /// The timer's half-periods accounted for in TMR_STS.
    var timerHalves: UInt64
  }

  /// Bits of PM1_STS and PM1_EN.
  private enum Event {
    static let timer: UInt16 = 1 << 0
    static let powerButton: UInt16 = 1 << 8
    static let enables: UInt16 = 0x0721
    static let statuses: UInt16 = 0x8731
  }

  private static let inACPIMode: UInt16 = 1

  private let clock: any MachineClock
  private let interrupt: any InterruptLine
  private let timerWidth: TimerWidth
  private var state: State

  /// - Parameter interrupt: the SCI.
  public init(
    clock: any MachineClock, interrupt: any InterruptLine, timerWidth: TimerWidth = .bits32
  ) {
    self.clock = clock
    self.interrupt = interrupt
    self.timerWidth = timerWidth
    state = State(
      status: 0, enable: 0, control: Self.inACPIMode, generalStatus: 0, generalEnable: 0,
      timerHalves: 0)
    state.timerHalves = timerHalves
  }

  /// Somebody presses the power button.
  public mutating func pressPowerButton() {
    state.status |= Event.powerButton
    updateLine()
  }

  /// General-purpose event `number`, 0…15, occurs.
  public mutating func raiseGeneralEvent(_ number: Int) {
    state.generalStatus |= 1 << UInt16(truncatingIfNeeded: number & 15)
    updateLine()
  }

  // MARK: Ports

  public mutating func read(
    from offset: UInt16, width: AccessWidth
  ) throws(BusError) -> UInt32 {
    advance()
    if offset & ~3 == 8 { return timerValue >> UInt32(8 * (offset & 3)) }
    switch (offset, width) {
    case (0, .doubleword): return UInt32(state.status) | UInt32(state.enable) << 16
    case (0x20, .doubleword):
      return UInt32(state.generalStatus) | UInt32(state.generalEnable) << 16
    default:
      guard width != .doubleword else { throw .wrongWidth }
      let register = try register(at: offset & ~1)
      if offset & 1 == 0 { return UInt32(register) }
      guard width == .byte else { throw .wrongWidth }
      return UInt32(register >> 8)
    }
  }

  private func register(at offset: UInt16) throws(BusError) -> UInt16 {
    switch offset {
    case 0x00: state.status
    case 0x02: state.enable
    case 0x04: state.control
    case 0x06: 0
    case 0x20: state.generalStatus
    case 0x22: state.generalEnable
    default: throw .noSuchRegister
    }
  }

  /// Byte by byte: the status bits clear one by one, and SLP_TYP and SLP_EN share a byte.
  public mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .byte else { throw .wrongWidth }
    advance()
    defer { updateLine() }
    let isHigh = offset & 1 != 0
    let bits = UInt16(truncatingIfNeeded: value & 0xFF) << (isHigh ? 8 : 0)
    let kept: UInt16 = isHigh ? 0x00FF : 0xFF00
    switch offset & ~1 {
    case 0x00: state.status &= ~(bits & Event.statuses)
    case 0x02: state.enable = (state.enable & kept | bits) & Event.enables
    case 0x04: return writeControl(state.control & kept | bits)
    case 0x06, 0x08, 0x0A: break  // the timer is read-only
    case 0x20: state.generalStatus &= ~bits
    case 0x22: state.generalEnable = state.generalEnable & kept | bits
    default: throw .noSuchRegister
    }
    return .none
  }

  /// SLP_EN is write-only and acts at once; GBL_RLS has no SMI to make.
  private mutating func writeControl(_ value: UInt16) -> MachineRequest {
    state.control = value & 0x1C02 | Self.inACPIMode
    let sleepType = UInt8(truncatingIfNeeded: value[bits: 10...12])
    return value[bit: 13] && sleepType == Self.softOffSleepType ? .powerOff : .none
  }

  // MARK: PM timer

  private var timerValue: UInt32 {
    let ticks = UInt32(truncatingIfNeeded: Self.timerFrequency.ticks(at: clock.now))
    return timerWidth == .bits32 ? ticks : ticks & 0xFF_FFFF
  }

  /// How often the timer's highest bit has changed.
  private var timerHalves: UInt64 {
    Self.timerFrequency.ticks(at: clock.now) >> UInt64(timerWidth.rawValue - 1)
  }

  public var nextDeadline: VirtualInstant? {
    guard state.enable & ~state.status & Event.timer != 0 else { return nil }
    let tick = (state.timerHalves &+ 1) << UInt64(timerWidth.rawValue - 1)
    return Self.timerFrequency.instant(ofTick: tick)
  }

  public mutating func advance() {
    let halves = timerHalves
    guard halves != state.timerHalves else { return }
    state.timerHalves = halves
    state.status |= Event.timer
    updateLine()
  }

  private func updateLine() {
    let isRequested =
      state.status & state.enable != 0 || state.generalStatus & state.generalEnable != 0
    interrupt.set(isRequested)
  }

  // MARK: State

  public mutating func reset() {
    state = State(
      status: 0, enable: 0, control: Self.inACPIMode, generalStatus: 0, generalEnable: 0,
      timerHalves: timerHalves)
    updateLine()
  }

  public func save() -> State { state }

  public mutating func restore(_ state: State) throws(RestoreError) {
    self.state = state
    updateLine()
  }
}
