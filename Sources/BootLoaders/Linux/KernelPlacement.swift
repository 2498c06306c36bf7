import Bits
import FirmwareTables
import MachineTypes

/// Where a bzImage is loaded and where it then runs, by the rules of boot.rst for
/// `relocatable_kernel`, `kernel_alignment`, `min_alignment`, `pref_address` and `init_size`.
///
/// - A kernel that is not relocatable is loaded at `pref_address` and runs there.
/// - A relocatable one may lie at any multiple of `kernel_alignment`, or of 1 << `min_alignment` when
///   the loader lowers `kernel_alignment` to what the address offers; also at 1 MiB, the classic load
///   address, from where the kernel aligns itself.
/// - Loaded below `pref_address` it moves itself up to it: arch/x86/boot/compressed/head_*.S compare
///   the aligned address with LOAD_PHYSICAL_ADDR. `init_size` bytes from where it runs must be RAM.
/// - A 32-bit kernel runs only in the memory it maps directly: its decompressor refuses to end above
///   896 MiB ("Destination address too large").
struct KernelPlacement: Hashable {
  static let lowMemoryLimit32: UInt64 = 0x3800_0000

  let loadAddress: UInt64
  /// What the zero page tells the kernel as `kernel_alignment`.
  let alignment: UInt64
  let runRange: Range<UInt64>

  /// From the first byte loaded to the last byte the kernel takes.
  let takenRange: Range<UInt64>

  init(
    _ header: SetupHeader, requested: GuestPhysicalAddress?, entry: BootEntry, plan: MemoryPlan
  ) throws(BootError) {
    loadAddress = requested?.rawValue ?? header.preferredAddress
    let refuse = Self.refusal(of: loadAddress, requested: requested != nil)
    alignment = try Self.alignment(header, loadAddress, refuse)
    guard loadAddress >= BootLayout.lowestKernel else {
      throw refuse(.belowMinimum(GuestPhysicalAddress(BootLayout.lowestKernel)))
    }
    guard let aligned = loadAddress.alignedUp(to: alignment) else { throw refuse(.above4GiB) }
    let start = header.isRelocatable ? max(aligned, header.preferredAddress) : loadAddress
    let (runEnd, runOverflow) = start.addingReportingOverflow(header.initialSize)
    guard !runOverflow else { throw refuse(.above4GiB) }
    runRange = start..<runEnd
    // The start is not above the run address, so the loaded bytes end before `runEnd`.
    takenRange = loadAddress..<runEnd
    try Self.checkLimits(header, entry, runRange, refuse)
    let loaded = loadAddress..<(loadAddress + UInt64(header.protectedModeRange.count))
    for range in [runRange, loaded] where !plan.isUsable(range) {
      guard requested != nil else {
        throw .memoryTooSmall(name: "the kernel", needed: range)
      }
      throw refuse(.notUsableMemory(range))
    }
  }

  private typealias Refusal = (AddressRefusal) -> BootError

  /// An address nobody asked for is the header's own fault.
  private static func refusal(of address: UInt64, requested: Bool) -> Refusal {
    { reason in
      requested
        ? .kernelAddress(GuestPhysicalAddress(address), reason)
        : .damaged("its preferred address \(hex(address)) is impossible: \(reason)")
    }
  }

  private static func alignment(
    _ header: SetupHeader, _ address: UInt64, _ refuse: Refusal
  ) throws(BootError) -> UInt64 {
    guard header.isRelocatable else {
      guard address == header.preferredAddress else {
        throw refuse(.notRelocatable(only: GuestPhysicalAddress(header.preferredAddress)))
      }
      return header.alignment
    }
    if address % header.alignment == 0 || address == BootLayout.lowestKernel {
      return header.alignment
    }
    guard address % header.minimumAlignment == 0 else {
      throw refuse(.misaligned(alignment: header.minimumAlignment))
    }
    return 1 << UInt64(address.trailingZeroBitCount)
  }

  private static func checkLimits(
    _ header: SetupHeader, _ entry: BootEntry, _ run: Range<UInt64>, _ refuse: Refusal
  ) throws(BootError) {
    let canBeHigh = entry == .linux64 && header.extendedLoadFlags.contains(.canBeLoadedAbove4G)
    guard canBeHigh || run.upperBound <= BootLayout.fourGiB else { throw refuse(.above4GiB) }
    guard header.is64Bit || run.upperBound <= lowMemoryLimit32 else {
      throw refuse(
        .aboveMaximum(lastByte: run.upperBound - 1, maximum: lowMemoryLimit32 - 1))
    }
  }
}
