/// What firmware leaves in CMOS RAM.
public struct CMOSMemory: Hashable, Sendable {
  public static let byteCount = 128

  public private(set) var bytes: [UInt8]

  /// - Parameters:
  ///   - memoryBelow4GiB: bytes of RAM from address 0 up to the hole below 4 GiB.
  ///   - memoryAbove4GiB: bytes of RAM from 4 GiB on.
  public init(memoryBelow4GiB: UInt64, memoryAbove4GiB: UInt64 = 0, virtualCPUCount: Int = 1) {
    bytes = Array(repeating: 0, count: Self.byteCount)
    // Equipment: a floating-point unit; no diskettes.
    bytes[0x14] = 0x02
    store(640, at: 0x15)
    let extended = memoryBelow4GiB > 1 << 20 ? (memoryBelow4GiB - (1 << 20)) >> 10 : 0
    store(extended, at: 0x17)
    store(extended, at: 0x30)
    let above16 = memoryBelow4GiB > 16 << 20 ? (memoryBelow4GiB - (16 << 20)) >> 16 : 0
    store(above16, at: 0x34)
    let high = memoryAbove4GiB >> 16
    store(high & 0xFFFF, at: 0x5B)
    bytes[0x5D] = UInt8(truncatingIfNeeded: high >> 16)
    bytes[0x5F] = UInt8(clamping: virtualCPUCount - 1)
  }

  /// A 16-bit little-endian value; what does not fit becomes FFFFh.
  private mutating func store(_ value: UInt64, at index: Int) {
    let word = UInt16(clamping: value)
    bytes[index] = UInt8(truncatingIfNeeded: word)
    bytes[index + 1] = UInt8(truncatingIfNeeded: word >> 8)
  }
}
