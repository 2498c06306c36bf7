import DeviceModel

/// Which packets a network device passes on (virtio 1.2 §5.1.6.5.1 to 3). Everything, until the driver says
/// otherwise.
struct ReceiveFilter: Sendable {
  var address: MACAddress
  private var isPromiscuous = true
  private var takesAllMulticast = false
  private var takesAllUnicast = false
  private var refusesMulticast = false
  private var refusesUnicast = false
  private var refusesBroadcast = false
  private var table: Set<[UInt8]> = []
  private var vlans: Set<UInt16> = []
  private var filtersVLANs = false

  private static let mostAddresses = 64

  init(address: MACAddress) { self.address = address }

  func accepts(_ frame: [UInt8]) -> Bool {
    guard frame.count >= 14 else { return false }
    if filtersVLANs, frame.count >= 16, frame[12] == 0x81, frame[13] == 0 {
      let vlan = (UInt16(frame[14]) << 8 | UInt16(frame[15])) & 0xFFF
      guard vlans.contains(vlan) else { return false }
    }
    if isPromiscuous { return true }
    let target = Array(frame[0..<6])
    guard target[0] & 1 != 0 else {
      if refusesUnicast { return false }
      return takesAllUnicast || target == address.bytes || table.contains(target)
    }
    if target == MACAddress.broadcast.bytes { return !refusesBroadcast }
    return !refusesMulticast && (takesAllMulticast || table.contains(target))
  }

  /// VIRTIO_NET_CTRL_RX.
  mutating func setMode(_ mode: UInt8, _ data: ArraySlice<UInt8>) -> Bool {
    guard data.count == 1, let value = data.first else { return false }
    let isOn = value != 0
    switch mode {
    case 0: isPromiscuous = isOn
    case 1: takesAllMulticast = isOn
    case 2: takesAllUnicast = isOn
    case 3: refusesMulticast = isOn
    case 4: refusesUnicast = isOn
    case 5: refusesBroadcast = isOn
    default: return false
    }
    return true
  }

  /// VIRTIO_NET_CTRL_MAC_TABLE_SET: a list of unicast addresses, then one of multicast addresses. More than
  /// fit make the device take all of their kind.
  mutating func setTable(_ data: ArraySlice<UInt8>) -> Bool {
    var rest = data
    var addresses: Set<[UInt8]> = []
    var overflows = [false, false]
    for kind in 0..<2 {
      guard rest.count >= 4 else { return false }
      let count = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
      rest = rest.dropFirst(4)
      guard count <= rest.count / 6 else { return false }
      if count > Self.mostAddresses {
        overflows[kind] = true
      } else {
        for entry in 0..<count {
          addresses.insert(Array(rest.dropFirst(6 * entry).prefix(6)))
        }
      }
      rest = rest.dropFirst(6 * count)
    }
    table = addresses
    takesAllUnicast = overflows[0]
    if overflows[1] { takesAllMulticast = true }
    return rest.isEmpty
  }

  /// VIRTIO_NET_CTRL_VLAN. The first command switches the filter on.
  mutating func changeVLANs(_ change: UInt8, _ data: ArraySlice<UInt8>) -> Bool {
    guard data.count == 2, let low = data.first, let high = data.last, change <= 1 else {
      return false
    }
    let vlan = UInt16(low) | UInt16(high) << 8
    guard vlan < 4096 else { return false }
    filtersVLANs = true
    if change == 0 { vlans.insert(vlan) } else { vlans.remove(vlan) }
    return true
  }
}
