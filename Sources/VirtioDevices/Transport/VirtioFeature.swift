/// Feature bits that belong to no device type (virtio 1.2 §6).
enum VirtioFeature {
  static let ringIndirect: UInt64 = 1 << 28
  static let ringEventIndex: UInt64 = 1 << 29
  static let version1: UInt64 = 1 << 32
  static let ringPacked: UInt64 = 1 << 34

  static let all = ringIndirect | ringEventIndex | version1 | ringPacked
}

/// Bits of the device status (virtio 1.2 §2.1).
enum VirtioStatus {
  static let featuresAgreed: UInt8 = 8
  static let driverReady: UInt8 = 4
  static let needsReset: UInt8 = 64
}
