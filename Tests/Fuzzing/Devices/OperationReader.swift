import MachineTypes

/// The input, read as operations; zeroes follow its end.
struct OperationReader {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { position >= bytes.count }

  mutating func byte() -> UInt8 {
    guard position < bytes.count else { return 0 }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in byte() } }

  mutating func integer(_ byteCount: Int) -> UInt64 {
    (0..<UInt64(byteCount)).reduce(0) { $0 | UInt64(byte()) << (8 * $1) }
  }

  mutating func width() -> AccessWidth { AccessWidth.allCases[Int(byte() & 3)] }

  /// Mostly in the rings and the buffers behind them, sometimes at the end of RAM, or anywhere.
  mutating func address() -> UInt64 {
    let kind = byte()
    switch kind & 7 {
    case 0...4: return FuzzedDriver.buffers + (integer(2) & 0xFFFF)
    case 5: return FuzzedDriver.area(of: Int(kind >> 3)) + (integer(2) & 0x7FFF)
    case 6: return FuzzedBoard.memoryByteCount &- UInt64(byte())
    default: return integer(8)
    }
  }

  mutating func length() -> UInt32 {
    switch byte() & 3 {
    case 0: UInt32(byte())
    case 1: 512 * UInt32(byte() & 15)
    case 2: UInt32(integer(2))
    default: UInt32(truncatingIfNeeded: integer(4))
    }
  }
}
