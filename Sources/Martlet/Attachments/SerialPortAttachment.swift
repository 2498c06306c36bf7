/// What is at the other end of a serial line.
public protocol SerialPortAttachment: AnyObject, Sendable {
  /// Takes what the guest sent. Called on a thread of the line's own, so it may wait; the guest
  /// then finds the port busy once 64 KiB are queued.
  func send(_ bytes: [UInt8])

  /// The machine starts. Until `disconnect()`, what `receive` is given reaches the guest, in order.
  func connect(receive: @escaping @Sendable ([UInt8]) -> Void) throws

  /// The machine starts. Until `disconnect()`, `report` is told the size of the terminal, at first and when it
  /// changes. Serial ports do not ask for it; what is no terminal leaves it alone.
  func observeSize(_ report: @escaping @Sendable (TerminalSize) -> Void)

  /// The machine starts. Until `disconnect()`, `report` is told whether somebody is at the other end, at first and
  /// when it changes. What does not say so always has somebody there. Serial ports do not ask for it.
  func observeConnection(_ report: @escaping @Sendable (Bool) -> Void)

  /// The machine has stopped: let go of `receive` and of what reports are for.
  func disconnect()
}

extension SerialPortAttachment {
  public func observeSize(_ report: @escaping @Sendable (TerminalSize) -> Void) {}
  public func observeConnection(_ report: @escaping @Sendable (Bool) -> Void) {}
}

/// What a terminal shows, in characters.
public struct TerminalSize: Hashable, Sendable {
  public var columns: UInt16
  public var rows: UInt16

  public init(columns: UInt16, rows: UInt16) {
    self.columns = columns
    self.rows = rows
  }
}
