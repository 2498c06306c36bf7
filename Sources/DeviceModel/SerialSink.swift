/// Where a serial port's output goes. Called under the port's lock: must not block and must not call
/// back into the port.
public protocol SerialSink: Sendable {
  /// Takes one byte, or returns `false` if it cannot now; the port then keeps it until
  /// `SerialPort.resumeOutput()`.
  func write(_ byte: UInt8) -> Bool
  /// The port refused input before and has room again.
  func inputRoomAvailable()
}

extension SerialSink {
  public func inputRoomAvailable() {}
}

/// Swallows everything.
public struct NullSerialSink: SerialSink {
  public init() {}
  public func write(_ byte: UInt8) -> Bool { true }
}
