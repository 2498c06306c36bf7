import HostSystem
import MachineTypes

extension GuestRAM {
  /// Forgets what a run of RAM holds: it reads as zeroes afterwards, and the whole pages of it take no memory of
  /// the host's until they are used again.
  public func discard(_ range: GuestRange) throws(GuestMemoryError) {
    guard let offset = mappingOffset(of: range.start, byteCount: range.byteCount) else {
      throw .notRAM(range.start, byteCount: range.byteCount)
    }
    let end = offset + range.byteCount
    let first = (offset + (Self.pageSize - 1)) & ~(Self.pageSize - 1)
    let last = end & ~(Self.pageSize - 1)
    guard first < last else { return try clear(range.start, byteCount: range.byteCount) }
    mapping.discard(offset: Int(first), count: Int(last - first))
    // Engines drop what they decoded from there.
    codeTracker.noteWrite(mappingOffset: first, byteCount: last - first)
    try clear(range.start, byteCount: first - offset)
    // Within the region, since the range is.
    let rest = GuestPhysicalAddress(rawValue: range.start.rawValue + (last - offset))
    try clear(rest, byteCount: end - last)
  }
}
