/// `struct virtio_net_hdr` (virtio 1.2 §5.1.6), which stands before each packet in a network device's queues, in
/// TAP devices and on the switch's sockets.
public enum NetworkHeader {
  public static let byteCount = 12

  private static let needsChecksum: UInt8 = 1
  private static let isChecksumValid: UInt8 = 2
  private static let hasCongestionNotification: UInt8 = 0x80

  /// The packet that a header and a frame make; `nil` if they make none.
  public static func packet(from bytes: [UInt8], frame: [UInt8]) -> NetworkPacket? {
    // An Ethernet header is 14 bytes.
    guard bytes.count >= byteCount, frame.count >= 14 else { return nil }
    func word(_ offset: Int) -> UInt16 { UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8 }
    var packet = NetworkPacket(bytes: frame)
    if bytes[0] & needsChecksum != 0 {
      let partial = NetworkPacket.PartialChecksum(start: word(6), offset: word(8))
      guard Int(partial.start) + Int(partial.offset) + 2 <= packet.bytes.count else { return nil }
      packet.checksum = partial
    }
    packet.isChecksumValid = bytes[0] & isChecksumValid != 0
    let kind = bytes[1] & ~hasCongestionNotification
    guard let segmentation = NetworkPacket.Segmentation(rawValue: kind) else { return nil }
    packet.segmentation = segmentation
    if segmentation != .none {
      guard packet.checksum != nil, word(4) > 0 else { return nil }
      packet.hasCongestionNotification = bytes[1] & hasCongestionNotification != 0
      packet.headerByteCount = word(2)
      packet.segmentByteCount = word(4)
    }
    return packet
  }

  /// The header of a packet that lies in `bufferCount` buffers.
  public static func bytes(of packet: NetworkPacket, bufferCount: UInt16 = 0) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    func set(_ value: UInt16, _ offset: Int) {
      bytes[offset] = UInt8(value & 0xFF)
      bytes[offset + 1] = UInt8(value >> 8)
    }
    if let checksum = packet.checksum {
      bytes[0] = needsChecksum
      set(checksum.start, 6)
      set(checksum.offset, 8)
    } else if packet.isChecksumValid {
      bytes[0] = isChecksumValid
    }
    if packet.segmentation != .none {
      bytes[1] =
        packet.segmentation.rawValue
        | (packet.hasCongestionNotification ? hasCongestionNotification : 0)
      set(packet.headerByteCount, 2)
      set(packet.segmentByteCount, 4)
    }
    set(bufferCount, 10)
    return bytes
  }
}
