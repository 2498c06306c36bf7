import Bits
public import DeviceModel
public import MachineTypes

/// The MC146818 real-time clock with 128 bytes of CMOS RAM (Motorola MC146818 data sheet).
///
/// Offsets: 0 the index with the NMI mask (port 70h), 1 the data (71h). Drives IRQ 8. The century is
/// register 32h, as the FADT says.
public struct RTCMOS: PortIODevice, TimedDevice, SavableDevice {
  public struct State: Codable, Equatable, Sendable {
    var index: UInt8
    var ram: [UInt8]
    /// Registers A (without UIP), B and the flags of C.
    var registerA: UInt8
    var registerB: UInt8
    var registerC: UInt8
    /// The time that the chip shows at `reference`, in seconds since 1970.
    var seconds: Int64
    /// Nanoseconds of the machine's clock; a second ends at each whole second from here.
    var reference: UInt64
    /// Until when flags are accounted for.
    var evaluatedUntil: UInt64
  }

  static let nanosecondsPerSecond: UInt64 = 1_000_000_000
  /// UIP shows this long before the update.
  static let updateWarning: UInt64 = 244_000

  private let clock: any MachineClock
  private let interrupt: any InterruptLine
  private var state: State

  /// - Parameter memory: what firmware would have stored in CMOS RAM.
  public init(clock: any MachineClock, interrupt: any InterruptLine, memory: CMOSMemory) {
    self.clock = clock
    self.interrupt = interrupt
    state = State(
      index: 0, ram: memory.bytes, registerA: 0x26, registerB: 0x02, registerC: 0,
      seconds: clock.wallClockAtStart, reference: 0, evaluatedUntil: clock.now.nanoseconds)
  }

  /// Bit 7 of port 70h: NMI is kept from the processors.
  public var isNonMaskableInterruptDisabled: Bool { state.index[bit: 7] }

  // MARK: Ports

  public mutating func read(
    from offset: UInt16, width: AccessWidth
  ) throws(BusError) -> UInt32 {
    guard width == .byte else { throw .wrongWidth }
    guard offset == 1 else { return 0xFF }
    settle()
    return UInt32(readRegister(state.index & 0x7F))
  }

  public mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .byte else { throw .wrongWidth }
    let value = UInt8(truncatingIfNeeded: value)
    if offset == 0 {
      state.index = value
    } else {
      settle()
      writeRegister(state.index & 0x7F, value)
    }
    return .none
  }

  private mutating func readRegister(_ index: UInt8) -> UInt8 {
    switch index {
    case 0x00, 0x02, 0x04, 0x06...0x09, 0x32:
      if isRunning { storeTime() }
      return state.ram[Int(index)]
    case 0x0A: return state.registerA | (isUpdateNear ? 0x80 : 0)
    case 0x0B: return state.registerB
    case 0x0C:
      let flags = state.registerC | (isInterruptRequested ? 0x80 : 0)
      state.registerC = 0
      interrupt.set(false)
      return flags
    case 0x0D: return 0x80  // VRT: the battery is good
    default: return state.ram[Int(index)]
    }
  }

  private mutating func writeRegister(_ index: UInt8, _ value: UInt8) {
    switch index {
    case 0x00, 0x02, 0x04, 0x06...0x09, 0x32:
      if isRunning { storeTime() }
      state.ram[Int(index)] = value
      loadTime()
    case 0x0A: writeRegisterA(value)
    case 0x0B: writeRegisterB(value)
    case 0x0C, 0x0D: break
    default: state.ram[Int(index)] = value
    }
    updateLine()
  }

  /// Leaving the divider's reset, the first second is half a second long.
  private mutating func writeRegisterA(_ value: UInt8) {
    let now = clock.now.nanoseconds
    let wasReset = isDividerReset
    if isRunning { freeze() }
    state.registerA = value & 0x7F
    if wasReset, !isDividerReset {
      state.reference = now &- Self.nanosecondsPerSecond / 2
    }
  }

  private mutating func writeRegisterB(_ value: UInt8) {
    let wasRunning = isRunning
    if wasRunning { storeTime() }
    if wasRunning, value[bit: 7] { freeze() }
    let format: UInt8 = 0x06
    let formatChanged = (state.registerB ^ value) & format != 0
    state.registerB = value
    // SET ends a pending update interrupt's enable.
    if value[bit: 7] { state.registerB[bit: 4] = false }
    if !wasRunning, isRunning { realign() }
    // The bytes keep their old form until they are written or counted: here, counted at once.
    if formatChanged, isRunning { storeTime() }
  }

  // MARK: Time

  private var isDividerReset: Bool { state.registerA & 0x60 == 0x60 }
  private var isRunning: Bool { !isDividerReset && !state.registerB[bit: 7] }

  /// Whole seconds since `reference` at `nanoseconds`.
  private func wholeSeconds(at nanoseconds: UInt64) -> Int64 {
    let elapsed = Int64(bitPattern: nanoseconds &- state.reference)
    return max(elapsed, 0) / Int64(Self.nanosecondsPerSecond)
  }

  /// Makes the current second the reference, keeping the phase.
  private mutating func freeze() {
    let passed = wholeSeconds(at: clock.now.nanoseconds)
    state.seconds &+= passed
    state.reference &+= UInt64(passed) &* Self.nanosecondsPerSecond
  }

  /// Goes on from the stored second; the phase of the updates stays.
  private mutating func realign() {
    let passed = wholeSeconds(at: clock.now.nanoseconds)
    state.reference &+= UInt64(passed) &* Self.nanosecondsPerSecond
  }

  private var isUpdateNear: Bool {
    guard isRunning else { return false }
    let phase = (clock.now.nanoseconds &- state.reference) % Self.nanosecondsPerSecond
    return phase >= Self.nanosecondsPerSecond - Self.updateWarning
  }

  private var isBinary: Bool { state.registerB[bit: 2] }
  private var is24Hour: Bool { state.registerB[bit: 1] }

  private mutating func storeTime() {
    let seconds = state.seconds &+ wholeSeconds(at: clock.now.nanoseconds)
    let time = CivilTime(secondsSinceEpoch: seconds)
    state.ram[0x00] = encode(time.second)
    state.ram[0x02] = encode(time.minute)
    state.ram[0x04] = encodeHour(time.hour)
    state.ram[0x06] = encode(time.weekday)
    state.ram[0x07] = encode(time.day)
    state.ram[0x08] = encode(time.month)
    state.ram[0x09] = encode(time.year % 100)
    state.ram[0x32] = encode(time.year / 100)
  }

  private mutating func loadTime() {
    let ram = state.ram
    let time = CivilTime(
      year: decode(ram[0x32]) * 100 + decode(ram[0x09]), month: max(decode(ram[0x08]), 1),
      day: max(decode(ram[0x07]), 1), hour: decodeHour(ram[0x04]), minute: decode(ram[0x02]),
      second: decode(ram[0x00]))
    if isRunning { realign() }
    state.seconds = time.secondsSinceEpoch
  }

  private func encode(_ value: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: isBinary ? value : (value / 10) << 4 | value % 10)
  }

  private func decode(_ value: UInt8) -> Int {
    Int(isBinary ? value : (value >> 4) * 10 + value & 0x0F)
  }

  private func encodeHour(_ hour: Int) -> UInt8 {
    guard !is24Hour else { return encode(hour) }
    let hour12 = hour % 12 == 0 ? 12 : hour % 12
    return encode(hour12) | (hour >= 12 ? 0x80 : 0)
  }

  private func decodeHour(_ value: UInt8) -> Int {
    guard !is24Hour else { return decode(value) }
    return decode(value & 0x7F) % 12 + (value[bit: 7] ? 12 : 0)
  }

  // MARK: Interrupts

  private enum Flag {
    static let update: UInt8 = 0x10
    static let alarm: UInt8 = 0x20
    static let periodic: UInt8 = 0x40
  }

  /// The periodic interrupt's rate; `nil` for none (data sheet, table 5, for 32.768 kHz).
  private var periodicFrequency: ClockFrequency? {
    let select = state.registerA & 0x0F
    guard select != 0, !isDividerReset else { return nil }
    let shift = select < 3 ? select + 6 : select - 1
    return ClockFrequency(hertz: 32_768 >> UInt64(shift))
  }

  private func nextUpdate(after nanoseconds: UInt64) -> UInt64? {
    guard isRunning else { return nil }
    let passed = UInt64(wholeSeconds(at: nanoseconds))
    return state.reference &+ (passed &+ 1) &* Self.nanosecondsPerSecond
  }

  private func nextPeriodic(after nanoseconds: UInt64) -> UInt64? {
    guard let frequency = periodicFrequency else { return nil }
    let ticks = frequency.ticks(at: VirtualInstant(nanoseconds: nanoseconds))
    return frequency.instant(ofTick: ticks &+ 1).nanoseconds
  }

  private func nextAlarm(after nanoseconds: UInt64) -> UInt64? {
    guard isRunning else { return nil }
    let passed = wholeSeconds(at: nanoseconds)
    let current = CivilTime(secondsSinceEpoch: state.seconds &+ passed)
    let secondOfDay = current.hour * 3600 + current.minute * 60 + current.second
    guard let wait = alarm.secondsUntilMatch(after: secondOfDay) else { return nil }
    return state.reference &+ UInt64(passed &+ Int64(wait)) &* Self.nanosecondsPerSecond
  }

  private var alarm: RTCAlarm {
    func field(_ value: UInt8, _ decode: (UInt8) -> Int) -> Int? {
      value >= 0xC0 ? nil : decode(value)
    }
    return RTCAlarm(
      hour: field(state.ram[5], decodeHour), minute: field(state.ram[3], decode),
      second: field(state.ram[1], decode))
  }

  private var isInterruptRequested: Bool { state.registerC & state.registerB & 0x70 != 0 }

  private func updateLine() { interrupt.set(isInterruptRequested) }

  /// Sets the flags of all that happened since the last time.
  private mutating func settle() {
    let now = clock.now.nanoseconds
    let since = state.evaluatedUntil
    guard now > since else { return }
    func isDue(_ instant: UInt64?) -> Bool { instant.map { $0 <= now } ?? false }
    if isDue(nextUpdate(after: since)) { state.registerC |= Flag.update }
    if isDue(nextAlarm(after: since)) { state.registerC |= Flag.alarm }
    if isDue(nextPeriodic(after: since)) { state.registerC |= Flag.periodic }
    state.evaluatedUntil = now
    updateLine()
  }

  /// Only for what is enabled and not flagged already.
  public var nextDeadline: VirtualInstant? {
    let awaited = state.registerB & ~state.registerC
    let since = state.evaluatedUntil
    var next: UInt64?
    func consider(_ flag: UInt8, _ instant: UInt64?) {
      guard awaited & flag != 0, let instant else { return }
      next = min(next ?? instant, instant)
    }
    consider(Flag.update, nextUpdate(after: since))
    consider(Flag.alarm, awaited & Flag.alarm != 0 ? nextAlarm(after: since) : nil)
    consider(Flag.periodic, nextPeriodic(after: since))
    return next.map { VirtualInstant(nanoseconds: $0) }
  }

  public mutating func advance() { settle() }

  // MARK: State

  /// The battery keeps time and RAM; only the interrupts are switched off.
  public mutating func reset() {
    settle()
    state.index = 0
    state.registerB &= 0x87
    state.registerC = 0
    updateLine()
  }

  public func save() -> State { state }

  public mutating func restore(_ state: State) throws(RestoreError) {
    guard state.ram.count == CMOSMemory.byteCount else {
      throw RestoreError(device: "MC146818", reason: "\(state.ram.count) bytes of CMOS RAM")
    }
    self.state = state
  }
}
