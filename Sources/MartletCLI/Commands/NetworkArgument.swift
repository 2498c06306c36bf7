import ArgumentParser
import DeviceModel
import Martlet
import Networks

/// `--net tap,name=NAME[,mac=ADDRESS]`, `--net switch,path=SOCKET[,mac=ADDRESS]`,
/// `--net user[,forward=[tcp:|udp:][ADDRESS:]PORT:GUESTPORT]…[,restrict=on|off][,ipv6=on|off][,mac=ADDRESS]`
struct NetworkArgument {
  var configuration: VirtioNetworkDeviceConfiguration

  static func argument(_ text: String) throws -> NetworkArgument {
    var options = try ArgumentOptions(text)
    let mac = try options.take("mac").map { text in
      guard let address = MACAddress(text) else {
        throw ValidationError(
          "'\(text)' is no Ethernet address: write for example mac=52:54:00:12:34:56")
      }
      return address
    }
    let attachment: NetworkAttachment
    switch options.kind {
    case "user":
      var user = UserNetwork.Configuration()
      user.forwards = try options.takeAll("forward").map(forward)
      user.isRestricted = try options.takeSwitch("restrict") ?? false
      user.hasIPv6 = try options.takeSwitch("ipv6") ?? false
      attachment = .user(user)
    case "tap":
      guard let name = try options.take("name") else {
        throw ValidationError("a TAP network needs the device's name, as in --net tap,name=tap0")
      }
      attachment = .tap(name: name)
    case "switch":
      guard let path = try options.take("path") else {
        throw ValidationError("a switch needs its socket, as in --net switch,path=/tmp/switch")
      }
      attachment = .networkSwitch(path: path)
    default:
      throw ValidationError("'\(options.kind)' is no network: there are user, tap and switch")
    }
    var configuration = VirtioNetworkDeviceConfiguration(
      attachment: attachment, macAddress: mac)
    configuration.receiveLimits.bytes = try options.takeLimit("rx-bps", inBytes: true)
    configuration.receiveLimits.operations = try options.takeLimit("rx-pps", inBytes: false)
    configuration.sendLimits.bytes = try options.takeLimit("tx-bps", inBytes: true)
    configuration.sendLimits.operations = try options.takeLimit("tx-pps", inBytes: false)
    try options.finish("a network of this kind")
    return NetworkArgument(configuration: configuration)
  }

  /// `[tcp:|udp:][ADDRESS:]PORT:GUESTPORT`
  private static func forward(_ text: String) throws -> UserNetwork.PortForward {
    var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    var transport = UserNetwork.PortForward.Transport.tcp
    if let first = parts.first, let named = UserNetwork.PortForward.Transport(rawValue: first) {
      transport = named
      parts.removeFirst()
    }
    var address = IPv4Address.loopback
    if parts.count == 3, let named = IPv4Address(parts[0]) {
      address = named
      parts.removeFirst()
    }
    guard parts.count == 2, let host = UInt16(parts[0]), let guest = UInt16(parts[1]), host > 0,
      guest > 0
    else {
      throw ValidationError(
        "'\(text)' forwards no port: write for example forward=2222:22 or forward=udp:127.0.0.1:5353:53"
      )
    }
    return UserNetwork.PortForward(
      transport, hostAddress: address, hostPort: host, guestPort: guest)
  }
}
