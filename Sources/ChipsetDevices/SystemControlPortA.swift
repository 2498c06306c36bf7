import Bits
public import DeviceModel
public import MachineTypes

/// System control port A, 92h: fast A20 and reset (IBM PS/2 Hardware Interface Technical Reference).
/// A20 is always on; its bit only remembers what was written.
public struct SystemControlPortA: PortIODevice, SavableDevice {
  public struct State: Codable, Equatable, Sendable {
    var value: UInt8
    static let powerOn = State(value: 0x02)
  }

  private var state: State = .powerOn

  public init() {}

  public mutating func read(
    from offset: UInt16, width: AccessWidth
  ) throws(BusError) -> UInt32 {
    guard width == .byte else { throw .wrongWidth }
    return UInt32(state.value)
  }

  public mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .byte else { throw .wrongWidth }
    let value = UInt8(truncatingIfNeeded: value)
    let resets = value[bit: 0] && !state.value[bit: 0]
    state.value = value & 0x03
    return resets ? .reset : .none
  }

  public mutating func reset() { state = .powerOn }
  public func save() -> State { state }
  public mutating func restore(_ state: State) throws(RestoreError) { self.state = state }
}
