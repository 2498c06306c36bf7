/// Finds the console's own commands in what is typed: Ctrl-A and a letter.
struct EscapeFilter {
  enum Event: Equatable {
    case type([UInt8])
    case quit
    case help
  }

  private static let escape: UInt8 = 0x01

  private var isEscaped = false

  init() {}

  /// What the bytes mean, in order. An escape may be split between calls.
  mutating func events(for bytes: [UInt8]) -> [Event] {
    var events: [Event] = []
    var typed: [UInt8] = []
    for byte in bytes {
      guard let event = event(for: byte, typing: &typed) else { continue }
      if !typed.isEmpty { events.append(.type(typed)) }
      typed = []
      events.append(event)
    }
    if !typed.isEmpty { events.append(.type(typed)) }
    return events
  }

  private mutating func event(for byte: UInt8, typing typed: inout [UInt8]) -> Event? {
    guard isEscaped else {
      isEscaped = byte == Self.escape
      if !isEscaped { typed.append(byte) }
      return nil
    }
    isEscaped = false
    switch byte {
    case UInt8(ascii: "x"), UInt8(ascii: "X"): return .quit
    case UInt8(ascii: "h"), UInt8(ascii: "H"), UInt8(ascii: "?"): return .help
    case Self.escape: typed.append(byte)
    // No command: the guest gets both keys.
    default: typed += [Self.escape, byte]
    }
    return nil
  }
}
