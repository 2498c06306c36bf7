public import MachineTypes
import Synchronization

/// The I/O port space. Safe to use from any thread.
///
/// A word or doubleword to devices that only take narrower ones is split in halves at consecutive
/// ports, as on a PC. What no device claims reads as all ones.
public final class PortBus: Sendable {
  private let ranges = Mutex(BusRanges<any PortTarget>())
  private let unclaimedCount = Atomic<UInt64>(0)
  private let refusedCount = Atomic<UInt64>(0)

  public init() {}

  public var statistics: BusStatistics {
    BusStatistics(
      unclaimedCount: unclaimedCount.load(ordering: .relaxed),
      refusedCount: refusedCount.load(ordering: .relaxed))
  }

  /// Makes `device` answer `count` ports from `first` on. A device may have several ranges;
  /// `firstOffset` is the offset it sees for the first port.
  public func attach<Device: PortIODevice>(
    _ device: AttachedDevice<Device>, at first: PortAddress, count: UInt16,
    firstOffset: UInt16 = 0
  ) throws(BusOverlapError) {
    precondition(count > 0 && Int(first.rawValue) + Int(count) <= 0x1_0000)
    let start = UInt64(first.rawValue)
    let entry = BusRanges<any PortTarget>.Entry(
      range: start...(start + UInt64(count) - 1), firstOffset: UInt64(firstOffset), target: device)
    try ranges.withLock { (ranges) throws(BusOverlapError) in try ranges.insert(entry) }
  }

  public func read(_ port: PortAddress, _ width: AccessWidth) -> UInt32 {
    let width = width == .quadword ? .doubleword : width
    guard let entry = entry(port, width) else {
      return splitRead(port, width, counting: unclaimedCount)
    }
    let offset = UInt16(
      truncatingIfNeeded: UInt64(port.rawValue) &- entry.range.lowerBound &+ entry.firstOffset)
    do throws(BusError) {
      let value = try entry.target.read(from: offset, width: width)
      return value & UInt32(truncatingIfNeeded: width.allOnes)
    } catch {
      if error == .wrongWidth { return splitRead(port, width, counting: refusedCount) }
      refusedCount.add(1, ordering: .relaxed)
      return UInt32(truncatingIfNeeded: width.allOnes)
    }
  }

  public func write(
    _ value: UInt32, to port: PortAddress, _ width: AccessWidth
  ) -> MachineRequest {
    let width = width == .quadword ? .doubleword : width
    guard let entry = entry(port, width) else {
      return splitWrite(value, port, width, counting: unclaimedCount)
    }
    let offset = UInt16(
      truncatingIfNeeded: UInt64(port.rawValue) &- entry.range.lowerBound &+ entry.firstOffset)
    do throws(BusError) {
      return try entry.target.write(
        value & UInt32(truncatingIfNeeded: width.allOnes), to: offset, width: width)
    } catch {
      if error == .wrongWidth { return splitWrite(value, port, width, counting: refusedCount) }
      refusedCount.add(1, ordering: .relaxed)
      return .none
    }
  }

  /// Resets every device once, in order of their ports.
  public func resetDevices() {
    var seen: Set<ObjectIdentifier> = []
    for entry in ranges.withLock({ $0.entries })
    where seen.insert(ObjectIdentifier(entry.target)).inserted {
      entry.target.reset()
    }
  }

  private func entry(
    _ port: PortAddress, _ width: AccessWidth
  ) -> BusRanges<any PortTarget>.Entry? {
    let entry = ranges.withLock { $0.entry(containing: UInt64(port.rawValue)) }
    guard let entry else { return nil }
    let last = UInt64(port.rawValue) + UInt64(width.byteCount) - 1
    return last <= entry.range.upperBound ? entry : nil
  }

  private func splitRead(
    _ port: PortAddress, _ width: AccessWidth, counting counter: borrowing Atomic<UInt64>
  ) -> UInt32 {
    guard let half = width.half else {
      counter.add(1, ordering: .relaxed)
      return UInt32(truncatingIfNeeded: width.allOnes)
    }
    let low = read(port, half)
    let high = read(port.following(half), half)
    return low | high << UInt32(8 * half.byteCount)
  }

  private func splitWrite(
    _ value: UInt32, _ port: PortAddress, _ width: AccessWidth,
    counting counter: borrowing Atomic<UInt64>
  ) -> MachineRequest {
    guard let half = width.half else {
      counter.add(1, ordering: .relaxed)
      return .none
    }
    let first = write(value, to: port, half)
    let second = write(value >> UInt32(8 * half.byteCount), to: port.following(half), half)
    return first == .none ? second : first
  }
}

/// What the bus sees of an attached device.
private protocol PortTarget: AnyObject, Sendable {
  func read(from offset: UInt16, width: AccessWidth) throws(BusError) -> UInt32
  func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest
  func reset()
}

extension AttachedDevice: PortTarget where Device: PortIODevice {
  fileprivate func read(from offset: UInt16, width: AccessWidth) throws(BusError) -> UInt32 {
    try withDevice { (device) throws(BusError) in try device.read(from: offset, width: width) }
  }

  fileprivate func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    try withDevice { (device) throws(BusError) in
      try device.write(value, to: offset, width: width)
    }
  }

  fileprivate func reset() { withDevice { $0.reset() } }
}

extension PortAddress {
  /// The port one access of `width` further on; port space wraps.
  fileprivate func following(_ width: AccessWidth) -> PortAddress {
    PortAddress(rawValue: rawValue &+ UInt16(width.byteCount))
  }
}

extension AccessWidth {
  /// The width of each half of an access; `nil` for a byte.
  var half: AccessWidth? { AccessWidth(rawValue: rawValue / 2) }
}
