public import DeviceModel

/// A device behind a function. BAR 0, of 64 bits, holds its registers, BAR 2 its MSI-X table.
public protocol PCIDevice: MemoryMappedDevice {
  var identity: PCIIdentity { get }
  /// The bytes of BAR 0: a power of two, 16…16 MiB.
  var registerByteCount: UInt32 { get }
  /// Vendor-specific capabilities (identifier 9), each from its length byte on.
  var vendorCapabilities: [PCIVendorCapability] { get }
}

public struct PCIVendorCapability: Hashable, Sendable {
  /// What follows the capability's identifier and link.
  public var body: [UInt8]
  /// The capability is a window to BAR 0 (virtio 1.2 §4.1.4.9): offset and length, which the guest
  /// writes, at byte 8 and 12, the data at byte 16.
  public var isWindow: Bool

  public init(body: [UInt8], isWindow: Bool = false) {
    self.body = body
    self.isWindow = isWindow
  }
}
