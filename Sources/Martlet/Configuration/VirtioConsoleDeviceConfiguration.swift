/// A virtio console device: terminals of the guest's, and ports for its programs.
public struct VirtioConsoleDeviceConfiguration: Sendable {
  /// 1…`maximumPortCount`
  public var ports: [VirtioConsolePortConfiguration]

  public static let maximumPortCount = 31

  public init(ports: [VirtioConsolePortConfiguration]) { self.ports = ports }
}

/// One port of a virtio console device.
public struct VirtioConsolePortConfiguration: Sendable {
  /// Programs of the guest find the port at /dev/virtio-ports/NAME; `nil` for a terminal, /dev/hvc0 being the first.
  public var name: String?
  /// What is at the other end; `nil` for nothing.
  public var attachment: (any SerialPortAttachment)?

  public init(name: String? = nil, attachment: (any SerialPortAttachment)? = nil) {
    self.name = name
    self.attachment = attachment
  }
}
