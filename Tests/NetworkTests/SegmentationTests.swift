import DeviceModel
import Testing

@testable import Networks

/// A TCP packet over IPv4 whose checksum is left to do, as a guest's driver sends it.
func largePacket(payload: Int, segment: UInt16, flags: UInt8 = 0x18) -> NetworkPacket {
  let ethernet = [UInt8](repeating: 2, count: 12) + [0x08, 0x00]
  let length = 40 + payload
  let ip: [UInt8] = [
    0x45, 0, UInt8(length >> 8), UInt8(length & 255), 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 2,
    15,
    10, 0, 2, 2,
  ]
  let tcp: [UInt8] = [
    0x30, 0x39, 0, 80, 0xFF, 0xFF, 0xFF, 0x00, 0, 0, 0, 1, 0x50, flags, 0x20, 0, 0, 0, 0, 0,
  ]
  let data = (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 7) }
  var packet = NetworkPacket(bytes: ethernet + ip + tcp + data)
  let pseudo = slowSum(
    Array(ip[12..<20]) + [0, 6, UInt8((20 + payload) >> 8), UInt8((20 + payload) & 255)])
  packet.bytes[14 + 20 + 16] = UInt8(pseudo >> 8)
  packet.bytes[14 + 20 + 17] = UInt8(pseudo & 255)
  packet.checksum = NetworkPacket.PartialChecksum(start: 34, offset: 16)
  if segment > 0 {
    packet.segmentation = .tcpIPv4
    packet.segmentByteCount = segment
  }
  return packet
}

/// RFC 1071 word by word.
func slowSum(_ bytes: [UInt8]) -> UInt16 {
  var sum: UInt32 = 0
  for index in stride(from: 0, to: bytes.count, by: 2) {
    sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
    sum = (sum & 0xFFFF) + (sum >> 16)
  }
  return UInt16(sum)
}

/// Whether IPv4's and TCP's checksums are right.
func isSound(_ frame: [UInt8]) -> Bool {
  let tcp = Array(frame[34...])
  let pseudo = Array(frame[26..<34]) + [0, 6, UInt8(tcp.count >> 8), UInt8(tcp.count & 255)]
  return slowSum(pseudo + tcp) == 0xFFFF
}

@Suite struct SegmentationTests {
  @Test func `sums are those of the definition`() {
    var state: UInt32 = 1
    for count in [0, 1, 2, 3, 4, 5, 7, 63, 64, 65, 1499, 65_535] {
      let bytes = (0..<count).map { _ -> UInt8 in
        state = state &* 1_664_525 &+ 1_013_904_223
        return UInt8(state >> 24)
      }
      #expect(internetSum(bytes, from: 0, to: count) == slowSum(bytes))
    }
  }

  @Test func `a checksum that is left to do is done`() {
    let packet = largePacket(payload: 333, segment: 0)
    let finished = packet.finished(for: [])
    #expect(finished.count == 1)
    #expect(finished[0].checksum == nil)
    #expect(isSound(finished[0].bytes))
    #expect(packet.finished(for: [.checksum]) == [packet])
  }

  @Test func `a large packet becomes segments with their own sequence numbers and sums`() {
    let packet = largePacket(payload: 5000, segment: 1448, flags: 0x19)
    let segments = packet.finished(for: [.checksum])
    #expect(segments.map(\.bytes.count) == [1502, 1502, 1502, 54 + 5000 - 3 * 1448])
    var data: [UInt8] = []
    for (number, segment) in segments.enumerated() {
      let bytes = segment.bytes
      #expect(isSound(bytes))
      #expect(slowSum(Array(bytes[14..<34])) == 0xFFFF)
      let sequence = bytes[38..<42].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      #expect(sequence == 0xFFFF_FF00 &+ UInt32(number * 1448))
      #expect(bytes[47] == (number == 3 ? 0x19 : 0x10))
      #expect(Int(bytes[16]) << 8 | Int(bytes[17]) == bytes.count - 14)
      data += bytes[54...]
    }
    #expect(data == Array(packet.bytes[54...]))
    #expect(packet.finished(for: [.checksum, .tcpIPv4]) == [packet])
  }

  @Test func `what is no TCP packet is not segmented`() {
    for place in [12, 14, 23, 46] {
      var packet = largePacket(payload: 3000, segment: 1000)
      packet.bytes[place] = 0xEE
      for segment in packet.finished(for: []) { #expect(segment.bytes.count <= packet.bytes.count) }
    }
    var short = largePacket(payload: 0, segment: 1000)
    short.bytes.removeLast(10)
    #expect(short.finished(for: []).isEmpty)
  }

  @Test func `segments of hostile packets are no more and no longer than the packet`() {
    var state: UInt64 = 5
    func random() -> UInt8 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(state >> 56)
    }
    for _ in 0..<3000 {
      var packet = largePacket(payload: Int(random()), segment: 100)
      for _ in 0..<random() % 8 {
        packet.bytes[Int(random()) % packet.bytes.count] = random()
      }
      packet.bytes.removeLast(min(packet.bytes.count - 14, Int(random() % 64)))
      var header = NetworkHeader.bytes(of: packet)
      for _ in 0..<random() % 4 { header[Int(random() % 12)] = random() }
      guard let received = NetworkHeader.packet(from: header, frame: packet.bytes) else { continue }
      for offloads: NetworkOffloads in [[], [.checksum], [.checksum, .tcpIPv4, .tcpIPv6]] {
        let segments = received.finished(for: offloads)
        #expect(segments.count <= packet.bytes.count)
        #expect(segments.allSatisfy { $0.bytes.count <= packet.bytes.count })
      }
    }
  }
}
