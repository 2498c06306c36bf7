import DeviceModel

extension NetworkPacket {
  /// Does the checksum that was left to do (virtio 1.2 §5.1.6.2): the field holds the sum of the
  /// pseudo-header so far.
  mutating func completeChecksum() {
    guard let partial = checksum else { return }
    checksum = nil
    let start = Int(partial.start)
    let place = start + Int(partial.offset)
    guard place + 2 <= bytes.count else { return }
    var sum = ~internetSum(bytes, from: start, to: bytes.count)
    // Zero means "none" in UDP; the other zero is as good everywhere.
    if sum == 0 { sum = 0xFFFF }
    bytes[place] = UInt8(sum >> 8)
    bytes[place + 1] = UInt8(sum & 0xFF)
  }
}

/// The ones' complement sum of big-endian 16-bit words (RFC 1071); an odd last byte counts as the high one.
func internetSum(_ bytes: [UInt8], from start: Int, to end: Int, initial: UInt64 = 0) -> UInt16 {
  var sum: UInt64 = 0
  var position = start
  let span = unsafe bytes.span.bytes
  // Words of either byte order add up to the same sum, but for its byte order (RFC 1071 §2 B).
  var high: UInt64 = 0
  while position + 8 <= end {
    let words = unsafe span.unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self)
    sum &+= words & 0xFFFF_FFFF
    high &+= words >> 32
    position += 8
  }
  sum += high
  while sum >> 16 != 0 { sum = (sum & 0xFFFF) + (sum >> 16) }
  sum = UInt64(UInt16(truncatingIfNeeded: sum).byteSwapped) + initial
  while position + 2 <= end {
    sum += UInt64(bytes[position]) << 8 | UInt64(bytes[position + 1])
    position += 2
  }
  if position < end { sum += UInt64(bytes[position]) << 8 }
  while sum >> 16 != 0 { sum = (sum & 0xFFFF) + (sum >> 16) }
  return UInt16(truncatingIfNeeded: sum)
}
