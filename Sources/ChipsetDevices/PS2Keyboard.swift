/// A PS/2 keyboard on which nobody types: it answers what drivers ask when they look for one.
struct PS2Keyboard: Codable, Equatable, Sendable {
  static let bufferCapacity = 16

  private enum Answer {
    static let acknowledge: UInt8 = 0xFA
    static let resend: UInt8 = 0xFE
    static let selfTestPassed: UInt8 = 0xAA
    static let identity: [UInt8] = [0xAB, 0x83]
  }

  /// What the keyboard sends, oldest first.
  var output: [UInt8]
  /// A command that waits for its parameter.
  var pendingCommand: UInt8?
  var scanCodeSet: UInt8
  var indicators: UInt8
  var typematic: UInt8
  var isScanning: Bool

  static let powerOn = PS2Keyboard(
    output: [], pendingCommand: nil, scanCodeSet: 2, indicators: 0, typematic: 0x2B,
    isScanning: true)

  /// A byte from the host.
  mutating func receive(_ value: UInt8) {
    if let command = pendingCommand, value < 0xED || command == 0xF3 {
      pendingCommand = nil
      receiveParameter(value, of: command)
    } else {
      pendingCommand = nil
      receiveCommand(value)
    }
  }

  private mutating func receiveCommand(_ command: UInt8) {
    switch command {
    case 0xED, 0xF0, 0xF3:
      pendingCommand = command
      send([Answer.acknowledge])
    case 0xEE: send([0xEE])
    case 0xF2: send([Answer.acknowledge] + Answer.identity)
    case 0xF4:
      isScanning = true
      send([Answer.acknowledge])
    case 0xF5, 0xF6:
      setDefaults(scanning: command == 0xF6)
      send([Answer.acknowledge])
    case 0xFF:
      output = []
      setDefaults(scanning: true)
      send([Answer.acknowledge, Answer.selfTestPassed])
    default: send([Answer.resend])
    }
  }

  private mutating func receiveParameter(_ value: UInt8, of command: UInt8) {
    switch command {
    case 0xED: indicators = value & 7
    case 0xF3: typematic = value & 0x7F
    case 0xF0 where value == 0:
      send([Answer.acknowledge, scanCodeSet])
      return
    case 0xF0 where value <= 3: scanCodeSet = value
    default:
      send([Answer.resend])
      return
    }
    send([Answer.acknowledge])
  }

  private mutating func setDefaults(scanning: Bool) {
    scanCodeSet = 2
    typematic = 0x2B
    isScanning = scanning
  }

  private mutating func send(_ bytes: [UInt8]) {
    guard output.count + bytes.count <= Self.bufferCapacity else { return }
    output += bytes
  }
}
