import DeviceModel

extension NetworkPacket {
  /// The packet as a receiver with these offloads can take it: segmented and with its checksum, where that is
  /// not left to the receiver. Empty if the packet cannot be segmented.
  func finished(for accepted: NetworkOffloads) -> [NetworkPacket] {
    let isAccepted =
      switch segmentation {
      case .none: true
      case .tcpIPv4: accepted.contains(.tcpIPv4)
      case .tcpIPv6: accepted.contains(.tcpIPv6)
      case .udp, .udpSegments: false
      }
    guard isAccepted && (!hasCongestionNotification || accepted.contains(.congestionNotification))
    else { return TCPSegments(self)?.packets() ?? [] }
    guard checksum != nil, !accepted.contains(.checksum) else { return [self] }
    var packet = self
    packet.completeChecksum()
    return [packet]
  }
}

/// A TCP packet that is cut into segments (RFC 9293), with headers of their own.
private struct TCPSegments {
  private let bytes: [UInt8]
  private let internet: Int
  private let transport: Int
  private let payload: Int
  private let isIPv6: Bool
  private let size: Int

  private enum Flag {
    static let finish: UInt8 = 0x01
    static let push: UInt8 = 0x08
    static let windowReduced: UInt8 = 0x80
  }

  /// `nil` if the packet is no TCP packet over IPv4 or IPv6 without extension headers.
  init?(_ packet: NetworkPacket) {
    bytes = packet.bytes
    size = Int(packet.segmentByteCount)
    guard size > 0, bytes.count >= 14 + 20 + 20 else { return nil }
    let isTagged = bytes[12] == 0x81 && bytes[13] == 0
    internet = isTagged ? 18 : 14
    switch (bytes[internet - 2], bytes[internet - 1]) {
    case (0x08, 0x00):
      isIPv6 = false
      transport = internet + 4 * Int(bytes[internet] & 15)
      guard transport >= internet + 20, bytes[internet + 9] == 6 else { return nil }
    case (0x86, 0xDD):
      isIPv6 = true
      transport = internet + 40
      guard bytes[internet + 6] == 6 else { return nil }
    default: return nil
    }
    guard transport + 20 <= bytes.count else { return nil }
    payload = transport + 4 * Int(bytes[transport + 12] >> 4)
    guard payload >= transport + 20, payload <= bytes.count else { return nil }
  }

  func packets() -> [NetworkPacket] {
    var result: [NetworkPacket] = []
    var start = payload
    repeat {
      let end = min(start + size, bytes.count)
      result.append(segment(number: result.count, start..<end))
      start = end
    } while start < bytes.count
    return result
  }

  private func segment(number: Int, _ part: Range<Int>) -> NetworkPacket {
    var frame = Array(bytes[..<payload]) + bytes[part]
    func set(_ value: UInt32, _ count: Int, at offset: Int) {
      for index in 0..<count {
        frame[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * (count - 1 - index)))
      }
    }
    func word(_ offset: Int) -> UInt32 { UInt32(frame[offset]) << 8 | UInt32(frame[offset + 1]) }

    let length = UInt32(frame.count - internet)
    if isIPv6 {
      set(length - 40, 2, at: internet + 4)
    } else {
      set(length, 2, at: internet + 2)
      set(word(internet + 4) &+ UInt32(number), 2, at: internet + 4)
      set(0, 2, at: internet + 10)
      set(UInt32(~internetSum(frame, from: internet, to: transport)), 2, at: internet + 10)
    }
    let sequence = word(transport + 4) << 16 | word(transport + 6)
    set(sequence &+ UInt32(part.lowerBound - payload), 4, at: transport + 4)
    if part.upperBound < bytes.count { frame[transport + 13] &= ~(Flag.finish | Flag.push) }
    if number > 0 { frame[transport + 13] &= ~Flag.windowReduced }

    // The pseudo-header: addresses, length and protocol (RFC 9293 §3.1, RFC 8200 §8.1).
    let addresses = isIPv6 ? internet + 8..<internet + 40 : internet + 12..<internet + 20
    let pseudo = internetSum(frame, from: addresses.lowerBound, to: addresses.upperBound)
    set(0, 2, at: transport + 16)
    let initial = UInt64(pseudo) + UInt64(frame.count - transport) + 6
    let sum = internetSum(frame, from: transport, to: frame.count, initial: initial)
    set(UInt32(~sum), 2, at: transport + 16)
    var packet = NetworkPacket(bytes: frame)
    packet.isChecksumValid = true
    return packet
  }
}
