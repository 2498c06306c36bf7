/// One Ethernet frame without its checksum, with the offloads that are still to be done on it.
public struct NetworkPacket: Hashable, Codable, Sendable {
  /// The segmentation left to do (virtio 1.2 §5.1.6: `gso_type`).
  public enum Segmentation: UInt8, Hashable, Codable, Sendable {
    case none = 0
    case tcpIPv4 = 1
    case udp = 3
    case tcpIPv6 = 4
    case udpSegments = 5
  }

  /// The checksum left to do: from byte `start` to the end, stored at `start + offset`.
  public struct PartialChecksum: Hashable, Codable, Sendable {
    public var start: UInt16
    public var offset: UInt16

    public init(start: UInt16, offset: UInt16) {
      self.start = start
      self.offset = offset
    }
  }

  /// From the destination address on.
  public var bytes: [UInt8]
  public var checksum: PartialChecksum?
  /// The receiver need not check transport checksums (VIRTIO_NET_HDR_F_DATA_VALID).
  public var isChecksumValid = false
  public var segmentation = Segmentation.none
  /// Explicit congestion notification in TCP segments.
  public var hasCongestionNotification = false
  /// Payload bytes of each segment; 0 without segmentation.
  public var segmentByteCount: UInt16 = 0
  /// Bytes of all headers; a hint.
  public var headerByteCount: UInt16 = 0

  public init(bytes: [UInt8]) { self.bytes = bytes }
}

/// Which offloads a side takes in packets that are sent to it.
public struct NetworkOffloads: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let checksum = NetworkOffloads(rawValue: 1 << 0)
  public static let tcpIPv4 = NetworkOffloads(rawValue: 1 << 1)
  public static let tcpIPv6 = NetworkOffloads(rawValue: 1 << 2)
  public static let congestionNotification = NetworkOffloads(rawValue: 1 << 3)
  public static let udpSegments = NetworkOffloads(rawValue: 1 << 4)
}

/// What a network device is plugged into. From any thread.
public protocol NetworkBackend: AnyObject, Sendable {
  /// Offloads that packets given to `send` may still need.
  var offloads: NetworkOffloads { get }
  /// The largest IP packet; 1500 where nothing else is known.
  var maximumTransmissionUnit: UInt16 { get }

  /// Starts to receive.
  ///
  /// - Parameters:
  ///   - accepted: offloads that received packets may still need; may change: called anew for each.
  ///   - receive: takes one packet from the network or refuses it for now: the backend then holds
  ///     back or drops, as its network does, until `resume`.
  func connect(
    accepted: @escaping @Sendable () -> NetworkOffloads,
    receive: @escaping @Sendable (NetworkPacket) -> Bool) throws

  /// Sends one packet, or returns `false` if it cannot now; `resumed` of `onRoom` follows. Never
  /// blocks.
  func send(_ packet: NetworkPacket) -> Bool

  /// The device takes packets again after it refused one.
  func resume()

  /// Called when the backend, having refused a packet, takes packets again.
  func onRoom(_ body: @escaping @Sendable () -> Void)

  /// Ends both directions and waits for the backend's threads. Once.
  func disconnect()
}
