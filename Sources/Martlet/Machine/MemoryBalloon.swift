import DeviceModel
import MachineTypes
import VirtioDevices

/// What a guest's memory balloon holds, and what the guest says of its memory. Amounts are in bytes; `nil` is what
/// the guest does not say.
public struct MemoryStatistics: Hashable, Sendable {
  /// In the balloon: the host has it back.
  public var balloon: UInt64
  /// Given back in all because it was free in the guest. It may have been used again since.
  public var reportedFree: UInt64
  public var total: UInt64?
  public var free: UInt64?
  /// What programs could have without swapping.
  public var available: UInt64?
  public var fileCaches: UInt64?
  public var swappedIn: UInt64?
  public var swappedOut: UInt64?
  /// Counts.
  public var majorFaults: UInt64?
  public var minorFaults: UInt64?
  /// When the guest said it, in nanoseconds of the machine's time; `nil` if it said nothing.
  public var nanoseconds: UInt64?
}

/// A machine's balloon, as the machine handles it.
struct MemoryBalloon: Sendable {
  let setTarget: @Sendable (_ pageCount: UInt32) -> Void
  let statistics: @Sendable () -> MemoryStatistics

  static let pageSize: UInt64 = 4096

  /// The pages in a balloon that leaves `target` bytes of `memorySize` to the guest.
  static func pageCount(leaving target: UInt64, of memorySize: UInt64) -> UInt32 {
    UInt32(clamping: (memorySize - min(target, memorySize)) / pageSize)
  }
}

extension MemoryStatistics {
  init(_ device: BalloonDevice) {
    let guest = device.statistics
    self.init(
      balloon: UInt64(device.actualPageCount) * MemoryBalloon.pageSize,
      reportedFree: device.reportedPageCount &* MemoryBalloon.pageSize,
      total: guest?.total, free: guest?.free, available: guest?.available,
      fileCaches: guest?.caches, swappedIn: guest?.swappedIn, swappedOut: guest?.swappedOut,
      majorFaults: guest?.majorFaults, minorFaults: guest?.minorFaults,
      nanoseconds: guest?.time.nanoseconds)
  }
}

extension MemoryStatistics: CustomStringConvertible {
  public var description: String {
    let parts: [(String, UInt64?)] = [
      ("in the balloon", balloon), ("free", free), ("available", available), ("in all", total),
      ("of file caches", fileCaches), ("reported free so far", reportedFree),
    ]
    return "the guest's memory: "
      + parts.compactMap { name, value in value.map { "\($0 >> 20) MiB \(name)" } }
      .joined(separator: ", ")
  }
}

extension BalloonDevice.Options {
  init(_ configuration: VirtioMemoryBalloonDeviceConfiguration, memorySize: UInt64) {
    self.init()
    let target = configuration.targetMemorySize ?? memorySize
    targetPageCount = MemoryBalloon.pageCount(leaving: target, of: memorySize)
    deflatesOnOutOfMemory = configuration.deflatesOnOutOfMemory
    reportsFreePages = configuration.reportsFreePages
    statisticsInterval = configuration.statisticsInterval.map(\.wholeNanoseconds)
  }
}

extension Duration {
  /// At least a millisecond; saturates.
  fileprivate var wholeNanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    let (nanoseconds, overflow) = UInt64(clamping: seconds)
      .multipliedReportingOverflow(by: 1_000_000_000)
    guard !overflow else { return .max }
    let (sum, isTooLong) = nanoseconds.addingReportingOverflow(
      UInt64(clamping: attoseconds / 1_000_000_000))
    return isTooLong ? .max : max(sum, 1_000_000)
  }
}
