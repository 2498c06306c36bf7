import DeviceModel
import MachineTypes

/// What answers behind a base address register, and where it does so now.
struct FunctionRegion: Sendable {
  /// The register's number, 0…5.
  let number: Int
  let byteCount: UInt32
  /// The register has 64 bits.
  let isWide: Bool
  let attach: @Sendable (GuestPhysicalAddress) throws(BusOverlapError) -> Void
  /// Where it answers now.
  private(set) var address: UInt64?
  /// It would answer, but for another device in its place.
  private(set) var isBlocked = false

  init(
    number: Int, byteCount: UInt32, isWide: Bool,
    attach: @escaping @Sendable (GuestPhysicalAddress) throws(BusOverlapError) -> Void
  ) {
    self.number = number
    self.byteCount = byteCount
    self.isWide = isWide
    self.attach = attach
  }

  var register: Int { ConfigurationSpace.Register.firstBaseAddress + 4 * number }

  /// Follows the register and the bridges above. Returns whether it left a place.
  mutating func settle(
    _ space: ConfigurationSpace, _ upstream: Upstream, _ memory: MemoryBus
  ) -> Bool {
    let new = target(space, upstream)
    guard address != new || isBlocked else { return false }
    let old = address
    if let old { memory.detach(at: GuestPhysicalAddress(rawValue: old)) }
    address = nil
    isBlocked = false
    guard let new else { return old != nil }
    do throws(BusOverlapError) {
      try attach(GuestPhysicalAddress(rawValue: new))
      address = new
    } catch {
      isBlocked = true
    }
    return old != nil
  }

  /// Where the registers want it; `nil` for nowhere.
  private func target(_ space: ConfigurationSpace, _ upstream: Upstream) -> UInt64? {
    let command = space.get16(ConfigurationSpace.Register.command)
    guard command & ConfigurationSpace.Command.memorySpace != 0 else { return nil }
    let start = (isWide ? space.get64(register) : UInt64(space.get32(register))) & ~0xF
    let (end, overflows) = start.addingReportingOverflow(UInt64(byteCount))
    // All ones, with which guests ask for the size, is no place.
    guard start != 0, !overflows, end != 1 << 32 else { return nil }
    return upstream.passes(start...(end - 1)) ? start : nil
  }
}
