/// `struct virtio_console_control` (virtio 1.2 §5.3.6.2): what the device and the driver say of ports.
struct ConsoleMessage: Hashable, Sendable {
  enum Event: UInt16, Sendable {
    case deviceReady = 0
    case portAdded = 1
    case portRemoved = 2
    case portReady = 3
    case isConsole = 4
    case resized = 5
    case opened = 6
    case name = 7
  }

  static let byteCount = 8

  var port: UInt32
  /// `Event`, or what the guest takes for one.
  var event: UInt16
  var value: UInt16
  /// What follows the message proper.
  var data: [UInt8] = []

  init(port: UInt32, _ event: Event, value: UInt16 = 0, data: [UInt8] = []) {
    self.port = port
    self.event = event.rawValue
    self.value = value
    self.data = data
  }

  /// `nil` unless there are as many bytes.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= Self.byteCount else { return nil }
    port = (0..<4).reversed().reduce(0) { $0 << 8 | UInt32(bytes[$1]) }
    event = UInt16(bytes[4]) | UInt16(bytes[5]) << 8
    value = UInt16(bytes[6]) | UInt16(bytes[7]) << 8
  }

  var bytes: [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: port >> UInt32(8 * $0)) } + littleEndian(event)
      + littleEndian(value) + data
  }
}

/// What a terminal shows, in characters.
struct ConsoleSize: Hashable, Sendable {
  var columns: UInt16
  var rows: UInt16

  /// As it stands in the configuration space and in messages: columns first. Linux read messages the other way
  /// round until 2025 (drivers/char/virtio_console.c, VIRTIO_CONSOLE_RESIZE; Debian's 6.1.0-56 reads them right).
  var bytes: [UInt8] { littleEndian(columns) + littleEndian(rows) }
}

private func littleEndian(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xFF), UInt8(value >> 8)] }
