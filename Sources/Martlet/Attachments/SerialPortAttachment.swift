/// What is at the other end of a serial line.
public protocol SerialPortAttachment: AnyObject, Sendable {
  /// Takes what the guest sent. Called on a thread of the line's own, so it may wait; the guest
  /// then finds the port busy once 64 KiB are queued.
  func send(_ bytes: [UInt8])

  /// The machine starts. Until `disconnect()`, what `receive` is given reaches the guest, in order.
  func connect(receive: @escaping @Sendable ([UInt8]) -> Void) throws

  /// The machine has stopped: let go of `receive`.
  func disconnect()
}
