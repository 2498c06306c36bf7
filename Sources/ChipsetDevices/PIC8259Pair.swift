public import DeviceModel
public import MachineTypes

/// The PC's two cascaded 8259A and their ELCR (Intel 82371AB data sheet, 4D0h and 4D1h).
///
/// Offsets: 0…1 the master (ports 20h, 21h), 2…3 the slave (A0h, A1h), 4…5 ELCR (4D0h, 4D1h).
public struct PIC8259Pair: PortIODevice, SavableDevice {
  public struct State: Codable, Equatable, Sendable {
    var master: PIC8259
    var slave: PIC8259
    static let powerOn = State(master: .powerOn, slave: .powerOn)
  }

  private static let cascadeInput: UInt8 = 2
  /// Inputs that can be level-triggered: not the timer, the keyboard, the cascade, RTC and FPU.
  private static let masterLevelMask: UInt8 = 0xF8
  private static let slaveLevelMask: UInt8 = 0xDE

  private let output: any InterruptLine
  private var state: State = .powerOn

  /// - Parameter output: INTR.
  public init(output: any InterruptLine) { self.output = output }

  /// The level on one of the inputs 0…15; 2 is the cascade and cannot be driven.
  public mutating func setInput(_ number: UInt8, _ isAsserted: Bool) {
    switch number {
    case Self.cascadeInput: return
    case 0..<8: state.master.setInput(number, isAsserted)
    case 8..<16: state.slave.setInput(number - 8, isAsserted)
    default: return
    }
    update()
  }

  /// An INTA cycle. With nothing requested any more it yields input 7 of the chip, in service
  /// nowhere: the spurious interrupt.
  public mutating func acknowledge() -> InterruptVector {
    defer { update() }
    guard let input = state.master.pendingInput else {
      return InterruptVector(rawValue: state.master.vectorBase | 7)
    }
    state.master.acknowledge(input)
    guard input == Self.cascadeInput else {
      return InterruptVector(rawValue: state.master.vectorBase | input)
    }
    guard let slaveInput = state.slave.pendingInput else {
      return InterruptVector(rawValue: state.slave.vectorBase | 7)
    }
    state.slave.acknowledge(slaveInput)
    return InterruptVector(rawValue: state.slave.vectorBase | slaveInput)
  }

  public mutating func read(
    from offset: UInt16, width: AccessWidth
  ) throws(BusError) -> UInt32 {
    guard width == .byte else { throw .wrongWidth }
    defer { update() }
    switch offset {
    case 0, 1: return UInt32(Self.read(&state.master, offset))
    case 2, 3: return UInt32(Self.read(&state.slave, offset & 1))
    case 4: return UInt32(state.master.levelTriggered)
    case 5: return UInt32(state.slave.levelTriggered)
    default: throw .noSuchRegister
    }
  }

  private static func read(_ chip: inout PIC8259, _ register: UInt16) -> UInt8 {
    if chip.isPolled { return chip.poll() }
    return register == 0 ? chip.readCommand() : chip.readData()
  }

  public mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .byte else { throw .wrongWidth }
    let value = UInt8(truncatingIfNeeded: value)
    switch offset {
    case 0: state.master.writeCommand(value)
    case 1: state.master.writeData(value)
    case 2: state.slave.writeCommand(value)
    case 3:
      state.slave.writeData(value)
      // Only a master has a slave to let in.
      state.slave.specialFullyNested = false
    case 4: state.master.setLevelTriggered(value & Self.masterLevelMask)
    case 5: state.slave.setLevelTriggered(value & Self.slaveLevelMask)
    default: throw .noSuchRegister
    }
    update()
    return .none
  }

  /// Everything but the levels on the inputs, which belong to the devices.
  public mutating func reset() {
    let levels = (state.master.inputs, state.slave.inputs)
    state = .powerOn
    (state.master.inputs, state.slave.inputs) = levels
    update()
  }

  public func save() -> State { state }

  public mutating func restore(_ state: State) throws(RestoreError) {
    guard state.master.lowestPriority < 8, state.slave.lowestPriority < 8 else {
      throw RestoreError(device: "8259 pair", reason: "a lowest priority above 7")
    }
    self.state = state
    update()
  }

  /// The slave's INT pin holds the master's cascade request as a level would.
  private mutating func update() {
    let cascade = UInt8(1) << Self.cascadeInput
    if state.slave.pendingInput != nil {
      state.master.requests |= cascade
    } else {
      state.master.requests &= ~cascade
    }
    output.set(state.master.pendingInput != nil)
  }
}
