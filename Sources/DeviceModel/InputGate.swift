import Synchronization

/// Something that reaches the machine from outside, as a value that can be recorded.
public enum MachineInput: Codable, Hashable, Sendable {
  /// Bytes arriving at a serial port, numbered from 0 (COM1).
  case serial(port: Int, bytes: [UInt8])
  case powerButton
  /// For a device beyond the chipset, by its number in the machine.
  case device(Int, DeviceInput)
}

/// What reaches a device from what stands behind it.
public enum DeviceInput: Codable, Hashable, Sendable {
  /// A request to a disk is done; `status` is the virtio block status, 0 for success.
  case blockCompletion(request: UInt64, status: UInt8)
  /// The disk has another size, in bytes.
  case blockResize(byteCount: UInt64)
  /// A packet from the network.
  case packet(NetworkPacket)
  /// The network takes packets again.
  case networkRoom
  /// A request to a shared folder is done, with this answer.
  case fileReply(request: UInt64, bytes: [UInt8])
  /// So many pages of 4 KiB are wanted in the memory balloon.
  case balloonTarget(pageCount: UInt32)
  /// From the host's sockets.
  case socket(SocketEvent)
  /// Bytes for a console port.
  case console(port: UInt32, bytes: [UInt8])
  /// A console port's output, which was held back, may go on.
  case consoleRoom(port: UInt32)
  /// Somebody is at the other end of a console port, or nobody.
  case consoleConnection(port: UInt32, isConnected: Bool)
  /// The terminal behind a console port has another size.
  case consoleSize(port: UInt32, columns: UInt16, rows: UInt16)
}

/// The one door for everything that comes from outside. In real-time mode it passes inputs straight
/// on; a recorder or a replayer takes its place by giving another handler.
public final class InputGate: Sendable {
  private let deliver: @Sendable (MachineInput) -> Int
  private let deliveredCount = Atomic<UInt64>(0)

  /// - Parameter deliver: hands one input to its device and returns how much of it was taken:
  ///   bytes, or 1.
  public init(deliver: @escaping @Sendable (MachineInput) -> Int) { self.deliver = deliver }

  /// How many inputs came in so far.
  public var submittedCount: UInt64 { deliveredCount.load(ordering: .relaxed) }

  /// Hands in one input. From any thread.
  ///
  /// - Returns: how much of it was taken. The sender keeps the rest and offers it again when the
  ///   device has room.
  public func submit(_ input: MachineInput) -> Int {
    deliveredCount.add(1, ordering: .relaxed)
    return deliver(input)
  }
}
