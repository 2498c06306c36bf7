public import MachineTypes
import Synchronization

/// The physical address space outside RAM. Safe to use from any thread.
///
/// An access wider than a device takes is split in halves. What no device claims reads as all ones.
public final class MemoryBus: Sendable {
  private let ranges = Mutex(BusRanges<any MemoryTarget>())
  private let unclaimedCount = Atomic<UInt64>(0)
  private let refusedCount = Atomic<UInt64>(0)

  public init() {}

  public var statistics: BusStatistics {
    BusStatistics(
      unclaimedCount: unclaimedCount.load(ordering: .relaxed),
      refusedCount: refusedCount.load(ordering: .relaxed))
  }

  /// Makes `device` answer `byteCount` addresses from `first` on.
  public func attach<Device: MemoryMappedDevice>(
    _ device: AttachedDevice<Device>, at first: GuestPhysicalAddress, byteCount: UInt64
  ) throws(BusOverlapError) {
    precondition(byteCount > 0 && first.advanced(by: byteCount - 1) != nil)
    let start = first.rawValue
    let entry = BusRanges<any MemoryTarget>.Entry(
      range: start...(start + (byteCount - 1)), firstOffset: 0, target: device)
    try ranges.withLock { (ranges) throws(BusOverlapError) in try ranges.insert(entry) }
  }

  /// Takes away what was attached at `first`. An access that is on its way may still arrive.
  public func detach(at first: GuestPhysicalAddress) {
    ranges.withLock { $0.remove(startingAt: first.rawValue) }
  }

  public func read(_ address: GuestPhysicalAddress, _ width: AccessWidth) -> UInt64 {
    guard let entry = entry(address, width) else {
      return splitRead(address, width, counting: unclaimedCount)
    }
    do throws(BusError) {
      let offset = address.rawValue &- entry.range.lowerBound
      return try entry.target.read(from: offset, width: width) & width.allOnes
    } catch {
      if error == .wrongWidth { return splitRead(address, width, counting: refusedCount) }
      refusedCount.add(1, ordering: .relaxed)
      return width.allOnes
    }
  }

  public func write(
    _ value: UInt64, to address: GuestPhysicalAddress, _ width: AccessWidth
  ) -> MachineRequest {
    guard let entry = entry(address, width) else {
      return splitWrite(value, address, width, counting: unclaimedCount)
    }
    do throws(BusError) {
      let offset = address.rawValue &- entry.range.lowerBound
      return try entry.target.write(value & width.allOnes, to: offset, width: width)
    } catch {
      if error == .wrongWidth { return splitWrite(value, address, width, counting: refusedCount) }
      refusedCount.add(1, ordering: .relaxed)
      return .none
    }
  }

  /// Resets every device once, in order of their addresses.
  public func resetDevices() {
    var seen: Set<ObjectIdentifier> = []
    for entry in ranges.withLock({ $0.entries })
    where seen.insert(ObjectIdentifier(entry.target)).inserted {
      entry.target.reset()
    }
  }

  private func entry(
    _ address: GuestPhysicalAddress, _ width: AccessWidth
  ) -> BusRanges<any MemoryTarget>.Entry? {
    let entry = ranges.withLock { $0.entry(containing: address.rawValue) }
    guard let entry, let last = address.advanced(by: UInt64(width.byteCount) - 1) else {
      return nil
    }
    return last.rawValue <= entry.range.upperBound ? entry : nil
  }

  private func splitRead(
    _ address: GuestPhysicalAddress, _ width: AccessWidth,
    counting counter: borrowing Atomic<UInt64>
  ) -> UInt64 {
    guard let half = width.half else {
      counter.add(1, ordering: .relaxed)
      return width.allOnes
    }
    let low = read(address, half)
    let high = read(address.following(half), half)
    return low | high << UInt64(8 * half.byteCount)
  }

  private func splitWrite(
    _ value: UInt64, _ address: GuestPhysicalAddress, _ width: AccessWidth,
    counting counter: borrowing Atomic<UInt64>
  ) -> MachineRequest {
    guard let half = width.half else {
      counter.add(1, ordering: .relaxed)
      return .none
    }
    let first = write(value, to: address, half)
    let second = write(value >> UInt64(8 * half.byteCount), to: address.following(half), half)
    return first == .none ? second : first
  }
}

/// What the bus sees of an attached device.
private protocol MemoryTarget: AnyObject, Sendable {
  func read(from offset: UInt64, width: AccessWidth) throws(BusError) -> UInt64
  func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest
  func reset()
}

extension AttachedDevice: MemoryTarget where Device: MemoryMappedDevice {
  fileprivate func read(from offset: UInt64, width: AccessWidth) throws(BusError) -> UInt64 {
    try withDevice { (device) throws(BusError) in try device.read(from: offset, width: width) }
  }

  fileprivate func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    try withDevice { (device) throws(BusError) in
      try device.write(value, to: offset, width: width)
    }
  }

  fileprivate func reset() { withDevice { $0.reset() } }
}

extension GuestPhysicalAddress {
  fileprivate func following(_ width: AccessWidth) -> GuestPhysicalAddress {
    GuestPhysicalAddress(rawValue: rawValue &+ UInt64(width.byteCount))
  }
}
