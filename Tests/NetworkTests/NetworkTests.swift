import DeviceModel
import Foundation
import HostSystem
import Networks
import Synchronization
import Testing

/// What a device would get.
final class Receiver: Sendable {
  private let packets = Monitor<[NetworkPacket]>([])

  func take(_ packet: NetworkPacket) -> Bool {
    packets.update { $0.append(packet) }
    return true
  }

  /// The next packet that fits; `nil` if none comes in time.
  func next(
    within seconds: Double = 5, where fits: @escaping (NetworkPacket) -> Bool
  ) -> NetworkPacket? {
    let end = HostClock.monotonicNanoseconds() + UInt64(seconds * 1e9)
    while HostClock.monotonicNanoseconds() < end {
      let found = packets.withLock { packets -> NetworkPacket? in
        guard let index = packets.firstIndex(where: fits) else { return nil }
        return packets.remove(at: index)
      }
      if let found { return found }
      packets.waitForUpdate { $0.contains(where: fits) ? 0 : end }
    }
    return nil
  }

  var count: Int { packets.withLock { $0.count } }
}

private let station: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x56]

/// A UDP packet from the guest.
private func udp(from source: [UInt8], to target: [UInt8], _ ports: [UInt8], _ payload: [UInt8])
  -> [UInt8]
{
  let length = 28 + payload.count
  var ip: [UInt8] =
    [0x45, 0, UInt8(length >> 8), UInt8(length & 255), 0, 1, 0, 0, 64, 17, 0, 0] + source + target
  let sum = ~slowSum(ip)
  ip[10] = UInt8(sum >> 8)
  ip[11] = UInt8(sum & 255)
  let header = ports + [UInt8((8 + payload.count) >> 8), UInt8((8 + payload.count) & 255), 0, 0]
  return [UInt8](repeating: 0xFF, count: 6) + station + [8, 0] + ip + header + payload
}

@Suite struct UserNetworkTests {
  @Test func `it answers ARP and offers an address by DHCP`() throws {
    let network = try UserNetwork(UserNetwork.Configuration())
    let receiver = Receiver()
    try network.connect(accepted: { [] }, receive: receiver.take)
    defer { network.disconnect() }
    let question: [UInt8] =
      [UInt8](repeating: 0xFF, count: 6) + station + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1] + station
      + [10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]
    let isSent = network.send(NetworkPacket(bytes: question))
    #expect(isSent)
    let answer = try #require(receiver.next { $0.bytes[12..<14] == [8, 6] })
    #expect(Array(answer.bytes[28..<32]) == [10, 0, 2, 2])

    var discover = [UInt8](repeating: 0, count: 240)
    discover.replaceSubrange(0..<4, with: [1, 1, 6, 0])
    discover.replaceSubrange(28..<34, with: station)
    discover.replaceSubrange(236..<240, with: [99, 130, 83, 99])
    discover += [53, 1, 1, 255]
    let request = udp(
      from: [0, 0, 0, 0], to: [255, 255, 255, 255], [0, 68, 0, 67], discover)
    _ = network.send(NetworkPacket(bytes: request))
    let offer = try #require(receiver.next { $0.bytes.count > 200 })
    #expect(Array(offer.bytes[58..<62]) == [10, 0, 2, 15])
  }

  @Test func `a port that is taken cannot be forwarded, and the message says so`() throws {
    let forward = UserNetwork.PortForward(hostPort: 47_311, guestPort: 22)
    let first = try UserNetwork(UserNetwork.Configuration(forwards: [forward]))
    defer { first.disconnect() }
    #expect { try UserNetwork(UserNetwork.Configuration(forwards: [forward])) } throws: { error in
      "\(error)".contains("tcp port 47311 of 127.0.0.1 cannot be forwarded")
    }
  }
}

@Suite struct NetworkSwitchTests {
  private func withSwitch(_ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory
      .appending(path: "switch-\(UUID().uuidString.prefix(8))").path
    let networkSwitch = try NetworkSwitch(path: path)
    let thread = try HostThread(name: "switch") { networkSwitch.run() }
    defer {
      networkSwitch.stop()
      thread.join()
    }
    try body(path)
  }

  private func ethernet(_ target: UInt8, from source: UInt8, count: Int = 60) -> [UInt8] {
    [2, 0, 0, 0, 0, target] + [2, 0, 0, 0, 0, source] + [UInt8](repeating: 9, count: count - 12)
  }

  @Test func `frames reach the station that was heard, and all others before that`() throws {
    try withSwitch { path in
      let receivers = (0..<3).map { _ in Receiver() }
      let ports = try receivers.map { receiver in
        let port = try MessageNetwork(switchAt: path)
        try port.connect(accepted: { [.checksum, .tcpIPv4] }, receive: receiver.take)
        return port
      }
      defer { for port in ports { port.disconnect() } }
      // Connections are taken in any order: until all hear each other.
      var isReady = false
      while !isReady {
        _ = ports[0].send(NetworkPacket(bytes: ethernet(9, from: 1)))
        isReady = receivers[1].count > 0 && receivers[2].count > 0
      }
      _ = ports[1].send(NetworkPacket(bytes: ethernet(1, from: 2, count: 200)))
      let direct = try #require(receivers[0].next { $0.bytes.count == 200 })
      #expect(direct.bytes == ethernet(1, from: 2, count: 200))
      let large = largePacket(payload: 9000, segment: 1448)
      var addressed = large
      addressed.bytes.replaceSubrange(0..<12, with: ethernet(2, from: 1).prefix(12))
      _ = ports[0].send(addressed)
      let whole = try #require(receivers[1].next { $0.bytes.count > 9000 })
      #expect(whole == addressed)
      let stray = receivers[2].next(within: 0.2) { $0.bytes.count != 60 }
      #expect(stray == nil)
    }
  }

  @Test func `two switches do not share a path, and a dead one's socket is replaced`() throws {
    try withSwitch { path in
      #expect(throws: HostError.self) { try NetworkSwitch(path: path) }
    }
    #expect { try MessageNetwork(switchAt: "/nowhere/switch") } throws: { error in
      "\(error)".contains("start one with `martlet switch /nowhere/switch`")
    }
  }
}
