/// Where the output of a console device's port goes. Called under the device's lock: must not block and must
/// not call back into the device.
public protocol ConsoleSink: Sendable {
  /// Takes bytes and returns how many; if that is not all, `DeviceInput.consoleRoom` follows.
  func write(_ bytes: [UInt8]) -> Int
  /// The port did not take all input before and has room again.
  func inputRoomAvailable()
}
