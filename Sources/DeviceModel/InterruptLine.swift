public import MachineTypes

/// An interrupt wire from a device to the interrupt controllers. From any thread.
public protocol InterruptLine: Sendable {
  /// Drives the line: level-sensitive inputs follow it, edge-triggered ones latch its rise.
  func set(_ isAsserted: Bool)
}

/// A wire that leads nowhere.
public struct UnconnectedLine: InterruptLine {
  public init() {}
  public func set(_ isAsserted: Bool) {}
}

/// Where message-signalled interrupts go: the local APICs. From any thread.
public protocol InterruptMessageSink: Sendable {
  func deliver(_ message: InterruptMessage)
}
