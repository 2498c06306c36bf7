import Bits
public import DeviceModel
public import MachineTypes

/// The I/O APIC (Intel 82093AA data sheet, order 290566), with the EOI register of version 20h.
///
/// 24 inputs at FEC00000h: index at 0, window at 10h, EOI at 40h. Polarity has no effect: a line is
/// asserted or it is not.
public struct IOAPIC: MemoryMappedDevice, SavableDevice {
  public static let pinCount: UInt8 = 24
  static let version: UInt32 = 0x20

  public struct State: Codable, Equatable, Sendable {
    var identifier: UInt8
    var index: UInt8
    /// The levels on the inputs.
    var inputs: UInt32
    /// Requests not yet delivered.
    var requests: UInt32
    /// The redirection table's raw entries.
    var entries: [UInt64]
    static let powerOn = State(
      identifier: 0, index: 0, inputs: 0, requests: 0,
      entries: Array(
        repeating: RedirectionEntry.powerOn.rawValue, count: Int(IOAPIC.pinCount)))
  }

  private let sink: any InterruptMessageSink
  private let routeChanged: @Sendable (_ pin: UInt8, _ message: InterruptMessage?) -> Void
  private var state: State = .powerOn

  /// - Parameter routeChanged: hears what each input would send now, `nil` while it is masked. For
  ///   engines that must know the vectors beforehand (KVM's split irqchip). Called under the
  ///   device's lock.
  public init(
    sink: any InterruptMessageSink,
    routeChanged: @escaping @Sendable (_ pin: UInt8, _ message: InterruptMessage?) -> Void = {
      _, _ in
    }
  ) {
    self.sink = sink
    self.routeChanged = routeChanged
  }

  /// The level on input `pin`, 0…23. An edge on a masked input is lost (data sheet, 3.2.4).
  public mutating func setInput(_ pin: UInt8, _ isAsserted: Bool) {
    guard pin < Self.pinCount else { return }
    let bit = UInt32(1) << UInt32(pin)
    let rose = isAsserted && state.inputs & bit == 0
    state.inputs = isAsserted ? state.inputs | bit : state.inputs & ~bit
    let entry = entry(pin)
    if entry.isLevelTriggered {
      state.requests = isAsserted ? state.requests | bit : state.requests & ~bit
    } else if rose, !entry.isMasked {
      state.requests |= bit
    }
    service(pin)
  }

  /// A local APIC saw the EOI of a level-triggered `vector`: inputs still asserted ask again.
  public mutating func endOfInterrupt(_ vector: InterruptVector) {
    for pin in 0..<Self.pinCount {
      var entry = entry(pin)
      guard entry.vector == vector.rawValue, entry.isLevelTriggered, entry.remoteIRR else {
        continue
      }
      entry.remoteIRR = false
      state.entries[Int(pin)] = entry.rawValue
      service(pin)
    }
  }

  public mutating func read(
    from offset: UInt64, width: AccessWidth
  ) throws(BusError) -> UInt64 {
    guard width != .quadword else { throw .wrongWidth }
    switch offset {
    case 0x00: return UInt64(state.index)
    case 0x10: return UInt64(readRegister(state.index))
    default: throw .noSuchRegister
    }
  }

  public mutating func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width != .quadword else { throw .wrongWidth }
    switch offset {
    case 0x00: state.index = UInt8(truncatingIfNeeded: value)
    case 0x10: writeRegister(state.index, UInt32(truncatingIfNeeded: value))
    case 0x40: endOfInterrupt(InterruptVector(rawValue: UInt8(truncatingIfNeeded: value)))
    default: throw .noSuchRegister
    }
    return .none
  }

  private func readRegister(_ index: UInt8) -> UInt32 {
    switch index {
    case 0, 2: return UInt32(state.identifier) << 24
    case 1: return UInt32(Self.pinCount - 1) << 16 | Self.version
    case 0x10..<(0x10 + 2 * Self.pinCount):
      let entry = state.entries[Int(index - 0x10) / 2]
      return UInt32(truncatingIfNeeded: index & 1 == 0 ? entry : entry >> 32)
    default: return 0
    }
  }

  private mutating func writeRegister(_ index: UInt8, _ value: UInt32) {
    switch index {
    case 0: state.identifier = UInt8(value[bits: 24...27])
    case 0x10..<(0x10 + 2 * Self.pinCount):
      writeEntry((index - 0x10) / 2, isHighHalf: index & 1 != 0, value)
    default: break
    }
  }

  private mutating func writeEntry(_ pin: UInt8, isHighHalf: Bool, _ value: UInt32) {
    var entry = entry(pin)
    if isHighHalf {
      entry.rawValue[bits: 32...63] = UInt64(value)
    } else {
      entry.writeLow(value)
    }
    state.entries[Int(pin)] = entry.rawValue
    let bit = UInt32(1) << UInt32(pin)
    if entry.isLevelTriggered {
      state.requests = (state.requests & ~bit) | (state.inputs & bit)
    }
    routeChanged(pin, entry.isMasked ? nil : entry.message)
    service(pin)
  }

  private func entry(_ pin: UInt8) -> RedirectionEntry {
    RedirectionEntry(rawValue: state.entries[Int(pin)])
  }

  /// Sends what is requested and may be sent.
  private mutating func service(_ pin: UInt8) {
    let bit = UInt32(1) << UInt32(pin)
    var entry = entry(pin)
    guard state.requests & bit != 0, !entry.isMasked else { return }
    if entry.isLevelTriggered {
      guard !entry.remoteIRR else { return }
      entry.remoteIRR = true
      state.entries[Int(pin)] = entry.rawValue
    } else {
      state.requests &= ~bit
    }
    sink.deliver(entry.message)
  }

  /// Everything but the levels on the inputs, which belong to the devices.
  public mutating func reset() {
    let inputs = state.inputs
    state = .powerOn
    state.inputs = inputs
    for pin in 0..<Self.pinCount { routeChanged(pin, nil) }
  }

  public func save() -> State { state }

  public mutating func restore(_ state: State) throws(RestoreError) {
    guard state.entries.count == Int(Self.pinCount) else {
      throw RestoreError(device: "I/O APIC", reason: "\(state.entries.count) table entries")
    }
    self.state = state
    for pin in 0..<Self.pinCount {
      let entry = entry(pin)
      routeChanged(pin, entry.isMasked ? nil : entry.message)
    }
  }
}
