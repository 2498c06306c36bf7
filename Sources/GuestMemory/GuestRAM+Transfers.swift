internal import Glibc
public import HostSystem
public import MachineTypes

/// A run of guest memory that a driver named.
public struct GuestRange: Hashable, Sendable {
  public var start: GuestPhysicalAddress
  /// In bytes.
  public var byteCount: UInt64

  public init(start: GuestPhysicalAddress, byteCount: UInt64) {
    self.start = start
    self.byteCount = byteCount
  }
}

/// Transfers between guest memory and the host that run beside the virtual CPUs (DMA).
extension GuestRAM {
  /// Guest memory as the target or source of a host transfer.
  ///
  /// After the host wrote to it, `noteTransfer(to:)` must follow, before the guest is told.
  public func segments(of ranges: [GuestRange]) throws(GuestMemoryError) -> MemorySegments {
    var vectors: [iovec] = unsafe []
    unsafe vectors.reserveCapacity(ranges.count)
    for range in ranges {
      guard let start = unsafe hostAddress(of: range.start, byteCount: range.byteCount) else {
        throw .notRAM(range.start, byteCount: range.byteCount)
      }
      // SAFETY: the run lies in the mapping, which lives as long as `self`, the owner.
      unsafe vectors.append(iovec(iov_base: start, iov_len: Int(range.byteCount)))
    }
    return unsafe MemorySegments(vectors: vectors, owner: self)
  }

  /// The host has written to these ranges: engines drop what they decoded from there.
  public func noteTransfer(to ranges: [GuestRange]) {
    for range in ranges { noteWrite(range.start, byteCount: range.byteCount) }
  }
}
