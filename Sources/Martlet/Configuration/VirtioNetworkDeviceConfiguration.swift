public import DeviceModel
import MachineTypes
public import Networks

/// A virtio network device.
public struct VirtioNetworkDeviceConfiguration: Sendable {
  /// What it is plugged into.
  public var attachment: NetworkAttachment
  /// The guest's Ethernet address; `nil` for one of the device's number behind a user network, and
  /// otherwise one that the machine's entropy source yields.
  public var macAddress: MACAddress?
  /// How fast the guest may receive.
  public var receiveLimits = RateLimits()
  /// How fast the guest may send.
  public var sendLimits = RateLimits()

  public init(attachment: NetworkAttachment, macAddress: MACAddress? = nil) {
    self.attachment = attachment
    self.macAddress = macAddress
  }
}

/// What a network device is plugged into.
public enum NetworkAttachment: Hashable, Sendable {
  /// A network of the guest's own behind address translation, without privileges.
  case user(UserNetwork.Configuration)
  /// A TAP device of the host's.
  case tap(name: String)
  /// The switch that listens at this Unix socket, for machines of the same host.
  case networkSwitch(path: String)
}

extension NetworkAttachment {
  func open() throws -> any NetworkBackend {
    switch self {
    case .user(let configuration): try UserNetwork(configuration)
    case .tap(let name): try MessageNetwork(tapDevice: name)
    case .networkSwitch(let path): try MessageNetwork(switchAt: path)
    }
  }
}

extension VirtioNetworkDeviceConfiguration {
  func address(number: Int, _ entropy: any EntropySource) -> MACAddress {
    if let macAddress { return macAddress }
    if case .user = attachment {
      return MACAddress(locallyAdministered: 0x54_0012_3456 + UInt64(number))
    }
    return MACAddress(locallyAdministered: entropy.next())
  }
}
