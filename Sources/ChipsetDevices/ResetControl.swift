import Bits
public import DeviceModel
public import MachineTypes

/// The reset control register, CF9h (Intel ICH9 data sheet, 13.7.5), which is also the FADT's reset
/// register.
///
/// Attached to CF8h…CFBh: only a byte access reaches the register, since a doubleword write to CF8h
/// addresses PCI configuration space.
public struct ResetControl: PortIODevice, SavableDevice {
  public struct State: Codable, Equatable, Sendable {
    var value: UInt8
    static let powerOn = State(value: 0)
  }

  private var state: State = .powerOn

  public init() {}

  public mutating func read(
    from offset: UInt16, width: AccessWidth
  ) throws(BusError) -> UInt32 {
    guard offset == 1, width == .byte else { throw .noSuchRegister }
    return UInt32(state.value)
  }

  /// RST_CPU's rise (bit 2) resets; what the other bits select is the same here.
  public mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard offset == 1, width == .byte else { throw .noSuchRegister }
    let value = UInt8(truncatingIfNeeded: value)
    let resets = value[bit: 2] && !state.value[bit: 2]
    state.value = value & 0x0E
    return resets ? .reset : .none
  }

  public mutating func reset() { state = .powerOn }
  public func save() -> State { state }
  public mutating func restore(_ state: State) throws(RestoreError) { self.state = state }
}
