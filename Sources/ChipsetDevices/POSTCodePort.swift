public import DeviceModel
public import MachineTypes

/// Port 80h, where firmware shows its progress, and EDh: kernels write there to pass a microsecond.
public struct POSTCodePort: PortIODevice, SavableDevice {
  public struct State: Codable, Equatable, Sendable {
    var code: UInt8
    static let powerOn = State(code: 0)
  }

  private var state: State = .powerOn

  public init() {}

  /// The code written last.
  public var code: UInt8 { state.code }

  public mutating func read(
    from offset: UInt16, width: AccessWidth
  ) throws(BusError) -> UInt32 {
    guard width == .byte else { throw .wrongWidth }
    return UInt32(state.code)
  }

  public mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .byte else { throw .wrongWidth }
    state.code = UInt8(truncatingIfNeeded: value)
    return .none
  }

  public mutating func reset() { state = .powerOn }
  public func save() -> State { state }
  public mutating func restore(_ state: State) throws(RestoreError) { self.state = state }
}
