import DeviceModel

/// One connection as a socket device sees it: how far it is, and the credit of both sides (virtio 1.2
/// §5.10.6.3), which counts bytes in 32 bits that wrap.
struct GuestConnection: Sendable {
  enum Phase: Sendable {
    /// The guest was asked.
    case offered
    /// The host was asked.
    case opening
    case established
  }

  /// Packets to send as soon as there is room for them, in this order.
  struct Due: OptionSet, Sendable {
    let rawValue: UInt8
    static let request = Due(rawValue: 1 << 0)
    static let response = Due(rawValue: 1 << 1)
    static let creditUpdate = Due(rawValue: 1 << 2)
    static let creditRequest = Due(rawValue: 1 << 3)
    static let shutdown = Due(rawValue: 1 << 4)
  }

  /// The room for the guest's data.
  static let bufferByteCount: UInt32 = 128 << 10

  let ports: SocketPorts
  var phase: Phase
  var due: Due = []
  /// What each side does no more.
  var guestEnded: SocketDirections = []
  var hostEnded: SocketDirections = []
  /// The host has data for which the guest has no room.
  var isOutOfCredit = false

  // From the guest.
  private var received: UInt32 = 0
  private var forwarded: UInt32 = 0
  /// What the guest was last told of `forwarded`.
  private var announced: UInt32 = 0
  // To the guest.
  private var sent: UInt32 = 0
  private var guestBuffer: UInt32 = 0
  private var guestForwarded: UInt32 = 0

  init(_ ports: SocketPorts, _ phase: Phase) {
    self.ports = ports
    self.phase = phase
  }

  /// How much the guest has room for, as far as is known.
  var credit: UInt32 {
    let underWay = sent &- guestForwarded
    return guestBuffer > underWay ? guestBuffer - underWay : 0
  }

  /// Whether nobody will say anything any more.
  var isOver: Bool { guestEnded == .both && hostEnded == .both }

  /// Each packet of the guest's tells of its room.
  mutating func note(_ header: SocketHeader) {
    guestBuffer = header.bufferByteCount
    guestForwarded = header.forwardedByteCount
  }

  /// Counts data from the guest; `false` if that is more than it was promised room for.
  mutating func receive(_ byteCount: UInt32) -> Bool {
    guard byteCount <= Self.bufferByteCount - min(received &- forwarded, Self.bufferByteCount)
    else { return false }
    received &+= byteCount
    return true
  }

  /// The host took data. Says so to the guest when half of its room is gone.
  mutating func forward(_ byteCount: UInt32) {
    forwarded &+= byteCount
    if forwarded != announced, received &- announced >= Self.bufferByteCount / 2 {
      due.insert(.creditUpdate)
    }
  }

  mutating func send(_ byteCount: UInt32) { sent &+= byteCount }

  /// The header of a packet to the guest, with the credit that it brings.
  mutating func header(
    _ operation: SocketHeader.Operation, to guestCID: UInt64
  ) -> SocketHeader {
    var header = SocketHeader(
      sourceCID: SocketDevice.hostCID, targetCID: guestCID, sourcePort: ports.host,
      targetPort: ports.guest, operation)
    header.bufferByteCount = Self.bufferByteCount
    header.forwardedByteCount = forwarded
    announced = forwarded
    due.remove(.creditUpdate)
    return header
  }

  /// The next packet that is due.
  mutating func takeDue(to guestCID: UInt64) -> SocketHeader? {
    if due.contains(.request) {
      due.remove(.request)
      return header(.request, to: guestCID)
    }
    if due.contains(.response) {
      due.remove(.response)
      return header(.response, to: guestCID)
    }
    if due.contains(.creditRequest) {
      due.remove(.creditRequest)
      return header(.creditRequest, to: guestCID)
    }
    if due.contains(.creditUpdate) { return header(.creditUpdate, to: guestCID) }
    guard due.contains(.shutdown) else { return nil }
    due.remove(.shutdown)
    var header = header(.shutdown, to: guestCID)
    header.flags = UInt32(hostEnded.rawValue)
    return header
  }
}
