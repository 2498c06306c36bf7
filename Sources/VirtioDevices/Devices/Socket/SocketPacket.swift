import DeviceModel

/// `struct virtio_vsock_hdr` (virtio 1.2 §5.10.6), which stands before each packet.
struct SocketHeader: Hashable, Sendable {
  static let byteCount = 44

  enum Operation: UInt16, Sendable {
    case request = 1
    case response = 2
    case reset = 3
    case shutdown = 4
    case readWrite = 5
    case creditUpdate = 6
    case creditRequest = 7
  }

  /// The socket type that this device carries.
  static let stream: UInt16 = 1

  var sourceCID: UInt64
  var targetCID: UInt64
  var sourcePort: UInt32
  var targetPort: UInt32
  /// Of the data behind the header.
  var dataByteCount: UInt32 = 0
  var type: UInt16 = stream
  /// `Operation`, or what the guest takes for one.
  var operation: UInt16
  /// Of a shutdown: `SocketDirections`.
  var flags: UInt32 = 0
  /// The room for data that the sender of this packet has in all, and how much it has passed on.
  var bufferByteCount: UInt32 = 0
  var forwardedByteCount: UInt32 = 0

  init(
    sourceCID: UInt64, targetCID: UInt64, sourcePort: UInt32, targetPort: UInt32,
    _ operation: Operation
  ) {
    self.sourceCID = sourceCID
    self.targetCID = targetCID
    self.sourcePort = sourcePort
    self.targetPort = targetPort
    self.operation = operation.rawValue
  }

  /// `nil` unless there are as many bytes.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= Self.byteCount else { return nil }
    func value<T: FixedWidthInteger>(_ offset: Int) -> T {
      (0..<T.bitWidth / 8).reversed().reduce(0) { $0 << 8 | T(bytes[offset + $1]) }
    }
    sourceCID = value(0)
    targetCID = value(8)
    sourcePort = value(16)
    targetPort = value(20)
    dataByteCount = value(24)
    type = value(28)
    operation = value(30)
    flags = value(32)
    bufferByteCount = value(36)
    forwardedByteCount = value(40)
  }

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.byteCount)
    func add<T: FixedWidthInteger>(_ value: T) {
      for shift in stride(from: 0, to: T.bitWidth, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: value >> T(shift)))
      }
    }
    add(sourceCID)
    add(targetCID)
    add(sourcePort)
    add(targetPort)
    add(dataByteCount)
    add(type)
    add(operation)
    add(flags)
    add(bufferByteCount)
    add(forwardedByteCount)
    return bytes
  }

  /// The answer to a packet that belongs to no connection.
  var refusal: SocketHeader {
    var answer = SocketHeader(
      sourceCID: targetCID, targetCID: sourceCID, sourcePort: targetPort, targetPort: sourcePort,
      .reset)
    answer.type = type
    return answer
  }
}

/// What a connection is known by in packets.
struct SocketPorts: Hashable, Sendable {
  var host: UInt32
  var guest: UInt32
}
