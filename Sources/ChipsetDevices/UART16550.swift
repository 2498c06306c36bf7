import Bits
public import DeviceModel

/// The 16550A UART (National Semiconductor PC16550D data sheet): registers, FIFOs, interrupts. Knows
/// neither ports nor lines nor time.
public struct UART16550: SavableDevice {
  static let fifoDepth = 16

  public struct State: Codable, Equatable, Sendable {
    /// RBR or the receive FIFO, oldest first.
    var received: [UInt8]
    /// THR or the transmit FIFO, oldest first.
    var toTransmit: [UInt8]
    /// IER.
    var interruptEnable: UInt8
    var isFIFOEnabled: Bool
    /// FCR bits 7:6.
    var triggerCode: UInt8
    /// LCR.
    var lineControl: UInt8
    /// MCR.
    var modemControl: UInt8
    /// SCR.
    var scratch: UInt8
    /// DLM and DLL.
    var divisor: UInt16
    /// LSR bits 4:1, which reading LSR clears.
    var lineErrors: UInt8
    /// MSR bits 3:0, which reading MSR clears.
    var modemDeltas: UInt8
    /// THR ran empty and neither IIR told nor a write undid it.
    var isTransmitInterruptPending: Bool
    /// Data has waited in the receive FIFO for four character times.
    var isTimeoutPending: Bool

    static let powerOn = State(
      received: [], toTransmit: [], interruptEnable: 0, isFIFOEnabled: false, triggerCode: 0,
      lineControl: 0, modemControl: 0, scratch: 0, divisor: 12, lineErrors: 0, modemDeltas: 0,
      isTransmitInterruptPending: false, isTimeoutPending: false)
  }

  /// The other end of the cable: carrier, data set ready, clear to send.
  private static let connectedModem: UInt8 = 0xB0
  private static let overrun: UInt8 = 0x02

  private var state: State = .powerOn

  public init() {}

  // MARK: The line's side

  /// How many bytes the receiver can take without an overrun.
  public var receiveRoom: Int {
    isLoopback ? 0 : max((state.isFIFOEnabled ? Self.fifoDepth : 1) - state.received.count, 0)
  }

  public var receivedCount: Int { state.received.count }

  public var isFIFOEnabled: Bool { state.isFIFOEnabled }

  public mutating func receive(_ byte: UInt8) {
    if state.received.count < (state.isFIFOEnabled ? Self.fifoDepth : 1) {
      state.received.append(byte)
    } else {
      if !state.isFIFOEnabled { state.received = [byte] }
      state.lineErrors |= Self.overrun
    }
  }

  /// Four character times went by without a byte in or out.
  public mutating func receiveTimedOut() {
    state.isTimeoutPending = state.isFIFOEnabled && !state.received.isEmpty
  }

  /// The next byte to send.
  public var nextTransmitByte: UInt8? { state.toTransmit.first }

  /// The byte was sent.
  public mutating func transmitted() {
    guard !state.toTransmit.isEmpty else { return }
    state.toTransmit.removeFirst()
    if state.toTransmit.isEmpty { state.isTransmitInterruptPending = true }
  }

  /// INTR, before the PC's OUT2 gate.
  public var isInterruptPending: Bool { interruptIdentification != 0x01 }

  /// The OUT2 pin, active: on a PC it connects INTR to the bus. Loopback cuts it off.
  public var isOutput2Active: Bool { state.modemControl[bit: 3] && !isLoopback }

  /// The time of one character in nanoseconds: start, data, parity and stop bits.
  public var characterNanoseconds: UInt64 {
    var bits: UInt64 = 7 + UInt64(state.lineControl & 3)
    if state.lineControl[bit: 2] { bits += 1 }
    if state.lineControl[bit: 3] { bits += 1 }
    let divisor = UInt64(state.divisor == 0 ? 1 : state.divisor)
    return bits * divisor * 16 * 1_000_000_000 / 1_843_200
  }

  // MARK: Registers

  private var isLoopback: Bool { state.modemControl[bit: 4] }
  private var divisorLatchAccess: Bool { state.lineControl[bit: 7] }

  private var trigger: Int {
    switch state.triggerCode {
    case 0: 1
    case 1: 4
    case 2: 8
    default: 14
    }
  }

  /// - Parameter register: 0…7; further bits are ignored.
  public mutating func read(_ register: UInt16) -> UInt8 {
    switch register & 7 {
    case 0 where divisorLatchAccess: return UInt8(truncatingIfNeeded: state.divisor)
    case 1 where divisorLatchAccess: return UInt8(truncatingIfNeeded: state.divisor >> 8)
    case 0: return readReceived()
    case 1: return state.interruptEnable
    case 2: return readInterruptIdentification()
    case 3: return state.lineControl
    case 4: return state.modemControl
    case 5:
      defer { state.lineErrors = 0 }
      return lineStatus
    case 6:
      defer { state.modemDeltas = 0 }
      return modemLevels | state.modemDeltas
    default: return state.scratch
    }
  }

  public mutating func write(_ value: UInt8, to register: UInt16) {
    switch register & 7 {
    case 0 where divisorLatchAccess: state.divisor[bits: 0...7] = UInt16(value)
    case 1 where divisorLatchAccess: state.divisor[bits: 8...15] = UInt16(value)
    case 0: writeTransmit(value)
    case 1: writeInterruptEnable(value)
    case 2: writeFIFOControl(value)
    case 3: state.lineControl = value
    case 4: writeModemControl(value)
    case 5, 6: break
    default: state.scratch = value
    }
  }

  private mutating func readReceived() -> UInt8 {
    state.isTimeoutPending = false
    return state.received.isEmpty ? 0 : state.received.removeFirst()
  }

  private mutating func writeTransmit(_ value: UInt8) {
    state.isTransmitInterruptPending = false
    if isLoopback {
      receive(value)
      state.isTransmitInterruptPending = true
    } else if state.toTransmit.count < (state.isFIFOEnabled ? Self.fifoDepth : 1) {
      state.toTransmit.append(value)
    }
  }

  /// Enabling the interrupt of an empty transmitter raises it: the 8250 driver tests for that.
  private mutating func writeInterruptEnable(_ value: UInt8) {
    let enables = value[bit: 1] && !state.interruptEnable[bit: 1]
    state.interruptEnable = value & 0x0F
    if enables, state.toTransmit.isEmpty { state.isTransmitInterruptPending = true }
  }

  private mutating func writeFIFOControl(_ value: UInt8) {
    let enables = value[bit: 0]
    if enables != state.isFIFOEnabled || (enables && value[bit: 1]) {
      state.received = []
      state.isTimeoutPending = false
    }
    if enables != state.isFIFOEnabled || (enables && value[bit: 2]) {
      if !state.toTransmit.isEmpty { state.isTransmitInterruptPending = true }
      state.toTransmit = []
    }
    state.isFIFOEnabled = enables
    if enables { state.triggerCode = value[bits: 6...7] }
  }

  private mutating func writeModemControl(_ value: UInt8) {
    let before = modemLevels
    state.modemControl = value & 0x1F
    let changed = (before ^ modemLevels) >> 4
    // RI tells only of its trailing edge.
    let ringEnded = before[bit: 6] && !modemLevels[bit: 6]
    state.modemDeltas |= (changed & 0b1011) | (ringEnded ? 0b0100 : 0)
  }

  private var lineStatus: UInt8 {
    var status = state.lineErrors
    status[bit: 0] = !state.received.isEmpty
    status[bit: 5] = state.toTransmit.isEmpty
    status[bit: 6] = state.toTransmit.isEmpty
    return status
  }

  /// MSR bits 7:4; in loopback they are MCR's outputs.
  private var modemLevels: UInt8 {
    guard isLoopback else { return Self.connectedModem }
    var levels: UInt8 = 0
    levels[bit: 4] = state.modemControl[bit: 1]
    levels[bit: 5] = state.modemControl[bit: 0]
    levels[bit: 6] = state.modemControl[bit: 2]
    levels[bit: 7] = state.modemControl[bit: 3]
    return levels
  }

  /// IIR bits 3:0: the pending interrupt of the highest priority.
  private var interruptIdentification: UInt8 {
    let enabled = state.interruptEnable
    if enabled[bit: 2], state.lineErrors != 0 { return 0x06 }
    if enabled[bit: 0] {
      if state.received.count >= (state.isFIFOEnabled ? trigger : 1) { return 0x04 }
      if state.isTimeoutPending { return 0x0C }
    }
    if enabled[bit: 1], state.isTransmitInterruptPending { return 0x02 }
    if enabled[bit: 3], state.modemDeltas != 0 { return 0x00 }
    return 0x01
  }

  private mutating func readInterruptIdentification() -> UInt8 {
    let identification = interruptIdentification
    if identification == 0x02 { state.isTransmitInterruptPending = false }
    return identification | (state.isFIFOEnabled ? 0xC0 : 0)
  }

  // MARK: State

  public mutating func reset() { state = .powerOn }

  public func save() -> State { state }

  public mutating func restore(_ state: State) throws(RestoreError) {
    guard state.received.count <= Self.fifoDepth, state.toTransmit.count <= Self.fifoDepth else {
      throw RestoreError(device: "16550A", reason: "more bytes than the FIFOs hold")
    }
    self.state = state
  }
}
