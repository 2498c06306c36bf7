import Bits
public import DeviceModel
public import MachineTypes

/// The i8042 keyboard controller with a PS/2 keyboard and nothing on its auxiliary port (IBM PS/2
/// Hardware Interface Technical Reference, keyboard and auxiliary device controller).
///
/// Offsets: 0 the data (port 60h), 4 status and command (64h). Drives IRQ 1. The auxiliary port fails
/// its loop and interface tests as a controller without one does, so Linux looks no further.
public struct I8042: PortIODevice, SavableDevice {
  static let bufferCapacity = 16

  public struct State: Codable, Equatable, Sendable {
    /// The command byte.
    var configuration: UInt8
    /// A command that waits for its data byte.
    var pendingCommand: UInt8?
    /// The controller's own answers, oldest first; they go before the keyboard's.
    var answers: [UInt8]
    var keyboard: PS2Keyboard
    /// The output port: reset, A20.
    var outputPort: UInt8
    /// Whether the last write was a command.
    var lastWriteWasCommand: Bool
    /// What reads give while there is nothing new.
    var lastData: UInt8

    static let powerOn = State(
      configuration: 0x61, pendingCommand: nil, answers: [], keyboard: .powerOn,
      outputPort: 0x03, lastWriteWasCommand: false, lastData: 0)
  }

  private let interrupt: any InterruptLine
  private var state: State = .powerOn

  /// - Parameter interrupt: IRQ 1.
  public init(interrupt: any InterruptLine) { self.interrupt = interrupt }

  private var isKeyboardDisabled: Bool { state.configuration[bit: 4] }

  /// OBF: a byte waits in the output buffer.
  private var isOutputFull: Bool {
    !state.answers.isEmpty || (!isKeyboardDisabled && !state.keyboard.output.isEmpty)
  }

  // MARK: Ports

  public mutating func read(
    from offset: UInt16, width: AccessWidth
  ) throws(BusError) -> UInt32 {
    guard width == .byte else { throw .wrongWidth }
    switch offset {
    case 0: return UInt32(readData())
    case 4: return UInt32(status)
    default: throw .noSuchRegister
    }
  }

  public mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .byte else { throw .wrongWidth }
    let value = UInt8(truncatingIfNeeded: value)
    defer { updateLine() }
    switch offset {
    case 0:
      state.lastWriteWasCommand = false
      return writeData(value)
    case 4:
      state.lastWriteWasCommand = true
      return writeCommand(value)
    default: throw .noSuchRegister
    }
  }

  private var status: UInt8 {
    var status: UInt8 = 0x10  // the keyboard is not locked
    status[bit: 0] = isOutputFull
    status[bit: 2] = state.configuration[bit: 2]
    status[bit: 3] = state.lastWriteWasCommand
    return status
  }

  private mutating func readData() -> UInt8 {
    if !state.answers.isEmpty {
      state.lastData = state.answers.removeFirst()
    } else if !isKeyboardDisabled, !state.keyboard.output.isEmpty {
      state.lastData = state.keyboard.output.removeFirst()
    }
    // The line falls with each byte, so that the next one makes an edge.
    interrupt.set(false)
    updateLine()
    return state.lastData
  }

  private func updateLine() { interrupt.set(isOutputFull && state.configuration[bit: 0]) }

  private mutating func writeCommand(_ command: UInt8) -> MachineRequest {
    state.pendingCommand = nil
    switch command {
    case 0x20: answer(state.configuration)
    case 0x60, 0xD1, 0xD2, 0xD3, 0xD4: state.pendingCommand = command
    case 0xA7: state.configuration[bit: 5] = true
    case 0xA8: state.configuration[bit: 5] = false
    case 0xA9: answer(0x01)  // the auxiliary clock is stuck: nothing there
    case 0xAA:
      state.configuration[bit: 2] = true
      answer(0x55)
    case 0xAB: answer(0x00)
    case 0xAD: state.configuration[bit: 4] = true
    case 0xAE: state.configuration[bit: 4] = false
    case 0xC0: answer(0x80)
    case 0xD0: answer(state.outputPort | (isOutputFull ? 0x10 : 0))
    case 0xF0...0xFF where !command[bit: 0]: return .reset
    default: break
    }
    return .none
  }

  private mutating func writeData(_ value: UInt8) -> MachineRequest {
    guard let command = state.pendingCommand else {
      // Data for the keyboard switches its clock on.
      state.configuration[bit: 4] = false
      state.keyboard.receive(value)
      return .none
    }
    state.pendingCommand = nil
    switch command {
    case 0x60: state.configuration = value & 0x7F
    case 0xD1:
      state.outputPort = value | 0x01
      return value[bit: 0] ? .none : .reset
    case 0xD2, 0xD3: answer(value)
    default: break  // D4h: no device hears it
    }
    return .none
  }

  private mutating func answer(_ value: UInt8) {
    if state.answers.count < Self.bufferCapacity { state.answers.append(value) }
  }

  // MARK: State

  public mutating func reset() {
    state = .powerOn
    updateLine()
  }

  public func save() -> State { state }

  public mutating func restore(_ state: State) throws(RestoreError) {
    guard state.answers.count <= Self.bufferCapacity,
      state.keyboard.output.count <= PS2Keyboard.bufferCapacity
    else { throw RestoreError(device: "i8042", reason: "more bytes than its buffers hold") }
    self.state = state
    updateLine()
  }
}
