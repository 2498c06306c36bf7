import DeviceModel

/// Puts the fragments of IPv4 datagrams together (RFC 791 §3.2) before libslirp sees them: 4.7's own reassembly reads
/// freed memory when a guest sends fragments that overlap or begin in the middle.
struct DatagramAssembly {
  private struct Key: Hashable {
    /// Addresses, identification and protocol, as in the header.
    let bytes: [UInt8]
  }

  private struct Datagram {
    /// Ethernet and IPv4 header of the first fragment.
    var head: [UInt8]?
    /// Payload by its place, in order and without overlaps.
    var parts: [(offset: Int, bytes: ArraySlice<UInt8>)] = []
    var byteCount = 0
    /// The payload's length, once the last fragment is here.
    var total: Int?
  }

  private static let ethernet = 14
  private static let smallestHeader = 20
  private static let moreFragments: UInt16 = 0x2000
  private static let offsetBits: UInt16 = 0x1FFF
  /// Datagrams that wait; beyond that the oldest goes.
  private static let mostDatagrams = 16
  private static let mostBytes = 65_535

  private var waiting: [Key: Datagram] = [:]
  private var order: [Key] = []

  /// The packet if it is whole; the whole datagram if it was its last missing fragment; `nil` otherwise.
  mutating func add(_ packet: NetworkPacket) -> NetworkPacket? {
    let bytes = packet.bytes
    guard bytes.count >= Self.ethernet + Self.smallestHeader, bytes[12] == 0x08, bytes[13] == 0
    else { return packet }
    func word(_ offset: Int) -> UInt16 {
      UInt16(bytes[Self.ethernet + offset]) << 8 | UInt16(bytes[Self.ethernet + offset + 1])
    }
    let fragment = word(6)
    let isLast = fragment & Self.moreFragments == 0
    let offset = 8 * Int(fragment & Self.offsetBits)
    if isLast, offset == 0 { return packet }

    let start = Self.ethernet + 4 * Int(bytes[Self.ethernet] & 15)
    let end = Self.ethernet + Int(word(2))
    guard start >= Self.ethernet + Self.smallestHeader, end > start, end <= bytes.count,
      offset + end - start <= Self.mostBytes - 60, isLast || (end - start) % 8 == 0
    else { return nil }
    let key = Key(
      bytes: Array(bytes[Self.ethernet + 12..<Self.ethernet + 20]) + bytes[18..<20] + [bytes[23]])
    var datagram = take(key)
    if offset == 0 { datagram.head = Array(bytes[..<start]) }
    if isLast { datagram.total = offset + end - start }
    let place = datagram.parts.firstIndex { $0.offset > offset } ?? datagram.parts.count
    // Fragments that overlap belong to no honest datagram: all of it is dropped (RFC 5722 says so for IPv6).
    let fitsBefore =
      place == 0
      || datagram.parts[place - 1].offset + datagram.parts[place - 1].bytes.count <= offset
    let fitsBehind =
      place == datagram.parts.count || offset + end - start <= datagram.parts[place].offset
    guard fitsBefore, fitsBehind else { return nil }
    datagram.parts.insert((offset, bytes[start..<end]), at: place)
    datagram.byteCount += end - start
    if let whole = Self.whole(datagram) { return whole }
    keep(datagram, key)
    return nil
  }

  private mutating func take(_ key: Key) -> Datagram {
    guard let datagram = waiting.removeValue(forKey: key) else { return Datagram() }
    order.removeAll { $0 == key }
    return datagram
  }

  private mutating func keep(_ datagram: Datagram, _ key: Key) {
    if order.count >= Self.mostDatagrams { waiting[order.removeFirst()] = nil }
    waiting[key] = datagram
    order.append(key)
  }

  /// The datagram as one packet, if nothing is missing.
  private static func whole(_ datagram: Datagram) -> NetworkPacket? {
    // Without overlaps, as many bytes as the last one's end says are all of them.
    guard let total = datagram.total, let head = datagram.head, datagram.byteCount == total,
      let last = datagram.parts.last, last.offset + last.bytes.count == total
    else { return nil }
    var frame = head
    for part in datagram.parts { frame += part.bytes }
    func set(_ value: UInt16, _ offset: Int) {
      frame[ethernet + offset] = UInt8(value >> 8)
      frame[ethernet + offset + 1] = UInt8(value & 0xFF)
    }
    set(UInt16(frame.count - ethernet), 2)
    set(0, 6)
    set(0, 10)
    set(~internetSum(frame, from: ethernet, to: head.count), 10)
    return NetworkPacket(bytes: frame)
  }
}
