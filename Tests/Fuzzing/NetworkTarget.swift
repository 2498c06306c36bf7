import DeviceModel
import Glibc
import HostSystem
import Networks

/// The user-mode network, and whether it still answers. It is cut off from the world unless the process is
/// (MARTLET_FUZZ_ALONE).
private final class FuzzedNetworkStack: Sendable {
  private let network: UserNetwork
  private let answerCount = Monitor(0)

  /// Who has 10.0.2.2? The stack's answer shows that it got through all that was sent before.
  private static let question: [UInt8] =
    [UInt8](repeating: 0xFF, count: 6) + station + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1] + station
    + [10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2] + [UInt8](repeating: 0, count: 18)
  static let station: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x56]

  init() {
    do {
      let isAlone = getenv("MARTLET_FUZZ_ALONE") != nil
      network = try UserNetwork(UserNetwork.Configuration(isRestricted: !isAlone, hasIPv6: true))
      try network.connect(accepted: { [.checksum] }) { [answerCount] packet in
        if packet.bytes.count >= 32, packet.bytes[12...13] == [8, 6],
          packet.bytes[28..<32] == [10, 0, 2, 2]
        {
          answerCount.update { $0 += 1 }
        }
        return true
      }
    } catch {
      fatalError("no network to fuzz: \(error)")
    }
  }

  func send(_ packet: NetworkPacket) { _ = network.send(packet) }

  func waitUntilAnswered() {
    let before = answerCount.withLock { $0 }
    send(NetworkPacket(bytes: Self.question))
    answerCount.wait { $0 > before ? () : nil }
  }
}

private let stack = FuzzedNetworkStack()

/// Sends frames as a guest does, with a `virtio_net_hdr` before each. What follows the two bytes that choose a frame's
/// kind and length is laid over a frame of that kind; lengths and checksums of IPv4 are right, or nothing would get far.
func fuzzNetwork(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  var input = OperationReader(Array(UnsafeBufferPointer(start: data, count: count)))
  var left = 64
  while !input.isAtEnd, left > 0 {
    left -= 1
    let kind = input.byte()
    let header: [UInt8] = kind & 0x80 == 0 ? [UInt8](repeating: 0, count: 12) : input.bytes(12)
    let frame = frame(kind, &input)
    guard let packet = NetworkHeader.packet(from: header, frame: frame) else { continue }
    stack.send(packet)
  }
  stack.waitUntilAnswered()
  return 0
}

private func frame(_ kind: UInt8, _ input: inout OperationReader) -> [UInt8] {
  let target: [UInt8] = [0x52, 0x55, 10, 0, 2, 2]
  let isIPv6 = kind & 4 != 0
  var frame = target + FuzzedNetworkStack.station + (isIPv6 ? [0x86, 0xDD] : [8, 0])
  let protocols: [UInt8] = isIPv6 ? [6, 17, 58, 0] : [6, 17, 1, 2]
  let number = protocols[Int(kind & 3)]
  let payload = input.bytes(8 + Int(input.byte()))
  if isIPv6 {
    frame += [0x60, 0, 0, 0, 0, UInt8(payload.count & 0xFF), number, 64]
    frame += [0xFE, 0x80] + [UInt8](repeating: 0, count: 13) + [5]
    frame += [0xFE, 0xC0] + [UInt8](repeating: 0, count: 13) + [2 + kind >> 3 & 1]
    frame[18] = UInt8(payload.count >> 8)
  } else {
    let length = 20 + payload.count
    let fragment: [UInt8] = kind & 0x40 == 0 ? [0, 0] : input.bytes(2)
    frame += [0x45, 0, UInt8(length >> 8), UInt8(length & 0xFF), 0, kind] + fragment
    frame += [64, number, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2 + kind >> 3 & 3]
    let sum = ~onesComplementSum(frame[14..<34])
    frame[24] = UInt8(sum >> 8)
    frame[25] = UInt8(sum & 0xFF)
  }
  frame += payload
  // DHCP, TFTP and DNS are the stack's own.
  if number == 17, kind & 0x20 != 0 {
    let ports: [UInt8] = [67, 69, 53, 68]
    let start = frame.count - payload.count
    frame[start + 2] = 0
    frame[start + 3] = ports[Int(kind >> 3 & 3)]
    frame[start + 4] = UInt8(payload.count >> 8)
    frame[start + 5] = UInt8(payload.count & 0xFF)
    // No checksum.
    frame[start + 6] = 0
    frame[start + 7] = 0
  }
  return frame
}

private func onesComplementSum(_ bytes: ArraySlice<UInt8>) -> UInt16 {
  var sum: UInt32 = 0
  for (number, byte) in bytes.enumerated() {
    sum += number % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte)
  }
  while sum >> 16 != 0 { sum = (sum & 0xFFFF) + (sum >> 16) }
  return UInt16(sum)
}
