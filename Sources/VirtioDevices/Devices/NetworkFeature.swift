import DeviceModel

/// Feature bits of the network device (virtio 1.2 §5.1.3).
enum NetworkFeature {
  static let checksum: UInt64 = 1 << 0
  static let guestChecksum: UInt64 = 1 << 1
  static let guestOffloads: UInt64 = 1 << 2
  static let mtu: UInt64 = 1 << 3
  static let mac: UInt64 = 1 << 5
  static let mergeableBuffers: UInt64 = 1 << 15
  static let status: UInt64 = 1 << 16
  static let controlQueue: UInt64 = 1 << 17
  static let receiveModes: UInt64 = 1 << 18
  static let vlanFilter: UInt64 = 1 << 19
  static let moreReceiveModes: UInt64 = 1 << 20
  static let multipleQueues: UInt64 = 1 << 22
  static let setAddress: UInt64 = 1 << 23

  private static let guestTSO4: UInt64 = 1 << 7
  private static let guestTSO6: UInt64 = 1 << 8
  private static let guestECN: UInt64 = 1 << 9
  private static let hostTSO4: UInt64 = 1 << 11
  private static let hostTSO6: UInt64 = 1 << 12
  private static let hostECN: UInt64 = 1 << 13

  static let receiveSegmentation = guestTSO4 | guestTSO6 | guestECN

  /// What the driver may leave to a backend that can do it.
  static func sendSegmentation(_ offloads: NetworkOffloads) -> UInt64 {
    (offloads.contains(.tcpIPv4) ? hostTSO4 : 0) | (offloads.contains(.tcpIPv6) ? hostTSO6 : 0)
      | (offloads.contains(.congestionNotification) ? hostECN : 0)
  }

  /// What packets to a driver with these features may leave to it.
  static func receiveOffloads(_ features: UInt64) -> NetworkOffloads {
    var offloads: NetworkOffloads = []
    if features & guestChecksum != 0 { offloads.insert(.checksum) }
    if features & guestTSO4 != 0 { offloads.insert(.tcpIPv4) }
    if features & guestTSO6 != 0 { offloads.insert(.tcpIPv6) }
    if features & guestECN != 0 { offloads.insert(.congestionNotification) }
    return offloads
  }
}
