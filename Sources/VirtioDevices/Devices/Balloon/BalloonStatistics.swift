public import MachineTypes

/// What a guest says of its memory (virtio 1.2 §5.5.6.3.3); `nil` for what it does not say.
public struct BalloonStatistics: Hashable, Sendable {
  /// When the guest said it.
  public var time: VirtualInstant
  private var values: [UInt16: UInt64] = [:]

  /// - Parameter bytes: tags and values, ten bytes each. Unknown tags are kept out.
  init(_ bytes: [UInt8], time: VirtualInstant) {
    self.time = time
    for start in stride(from: 0, to: bytes.count / 10 * 10, by: 10) {
      let tag = UInt16(bytes[start]) | UInt16(bytes[start + 1]) << 8
      guard tag <= Self.lastTag else { continue }
      values[tag] = (2..<10).reversed().reduce(0) { $0 << 8 | UInt64(bytes[start + $1]) }
    }
  }

  static let lastTag: UInt16 = 9
  /// The most that a guest has to say, ten bytes for each tag that there may be some day.
  static let mostBytes = 10 * 64

  /// Bytes read from and written to swap.
  public var swappedIn: UInt64? { values[0] }
  public var swappedOut: UInt64? { values[1] }
  /// Page faults that needed a disk, and all others.
  public var majorFaults: UInt64? { values[2] }
  public var minorFaults: UInt64? { values[3] }
  /// Bytes in no use at all.
  public var free: UInt64? { values[4] }
  /// Bytes in all, without those in the balloon.
  public var total: UInt64? { values[5] }
  /// Bytes that programs could have without swapping.
  public var available: UInt64? { values[6] }
  /// Bytes of caches of files.
  public var caches: UInt64? { values[7] }
  /// Huge pages that were allocated, and that could not be.
  public var hugePageAllocations: UInt64? { values[8] }
  public var hugePageFailures: UInt64? { values[9] }
}
