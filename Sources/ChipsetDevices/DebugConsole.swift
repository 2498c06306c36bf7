public import DeviceModel
public import MachineTypes

/// The Bochs debug console, E9h, and SeaBIOS's, 402h: every byte written is text. Reads give E9h, by
/// which firmware knows that it is there. It has no state.
public struct DebugConsole: PortIODevice {
  static let signature: UInt32 = 0xE9

  private let sink: any SerialSink

  /// - Parameter sink: bytes that it does not take are lost: there is no flow control.
  public init(sink: any SerialSink) { self.sink = sink }

  public mutating func read(
    from offset: UInt16, width: AccessWidth
  ) throws(BusError) -> UInt32 {
    guard width == .byte else { throw .wrongWidth }
    return Self.signature
  }

  public mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .byte else { throw .wrongWidth }
    _ = sink.write(UInt8(truncatingIfNeeded: value))
    return .none
  }

  public mutating func reset() {}
}
