import Bits
import FirmwareTables
import MachineTypes

/// Loads an ELF kernel: by PVH where it has that entry, otherwise as Linux's `vmlinux`, entered by
/// the boot protocol of its word size.
enum ELFLoader {
  /// COMMAND_LINE_SIZE of Linux on x86, without the NUL: an ELF file does not say.
  private static let commandLineLimit = 2047
  /// The default for `initrd_addr_max` of a bzImage.
  private static let initialRAMDiskMaximum: UInt64 = 0x7FFF_FFFF

  static func load(_ context: BootContext) throws(BootError) -> LoadedGuest {
    var context = context
    let image = try ELFImage(context.kernel)
    let entry = try entry(for: image, wanted: context.options.entry)
    let placement = try ELFPlacement(
      image, entry: entry, requested: context.options.kernelAddress, plan: context.plan)
    context.plan.reserve(placement.range)
    try context.placeCommandLine(limit: commandLineLimit)
    let initialRAMDisk = try context.placeInitialRAMDisk(
      maximum: initialRAMDiskMaximum, mayBeHigh: false)
    for segment in image.segments {
      let address = segment.physicalAddress &+ placement.displacement
      try context.plan.write("kernel", context.kernel.bytes, segment.fileRange, at: address)
      let fileByteCount = UInt64(segment.fileRange.count)
      try context.plan.clear(
        address + fileByteCount, byteCount: segment.memoryByteCount - fileByteCount)
    }
    try context.placeDescriptorTable(is64Bit: entry == .linux64)
    switch entry {
    case .pvh: try HVMStartInfo.place(in: &context, initialRAMDisk: initialRAMDisk)
    case .linux32, .linux64:
      try context.placeZeroPage(
        ZeroPage(commandLineSize: commandLineLimit), initialRAMDisk: initialRAMDisk)
    }
    if entry == .linux64 { try context.placePageTables(also: [placement.range]) }
    return context.loaded(
      image.kind, entry, at: placement.entry, kernelRange: placement.range)
  }

  private static func entry(
    for image: ELFImage, wanted: BootEntry?
  ) throws(BootError) -> BootEntry {
    let own: BootEntry = image.is64Bit ? .linux64 : .linux32
    let hasPVH = image.notes.physicalEntry != nil
    switch wanted {
    case nil: return hasPVH ? .pvh : own
    case .pvh where hasPVH, own: return wanted ?? own
    case .some(let other): throw .entryNotOffered(other, by: image.kind)
    }
  }
}

/// Where an ELF kernel lies. Only a PVH kernel with XEN_ELFNOTE_PHYS32_RELOC may be moved: the file
/// of another says nothing about it.
struct ELFPlacement {
  private static let defaultAlignment: UInt64 = 0x20_0000

  let range: Range<UInt64>
  /// What to add to the file's physical addresses, modulo 2^64.
  let displacement: UInt64
  let entry: UInt64

  init(
    _ image: ELFImage, entry kind: BootEntry, requested: GuestPhysicalAddress?, plan: MemoryPlan
  ) throws(BootError) {
    let span = image.span
    let start = requested?.rawValue ?? span.lowerBound
    let (end, overflow) = start.addingReportingOverflow(span.upperBound - span.lowerBound)
    func refuse(_ reason: AddressRefusal) -> BootError {
      requested == nil
        ? .damaged("its own address \(hex(start)) is impossible: \(reason)")
        : .kernelAddress(GuestPhysicalAddress(start), reason)
    }
    guard start >= BootLayout.lowestKernel else {
      throw refuse(.belowMinimum(GuestPhysicalAddress(BootLayout.lowestKernel)))
    }
    if start != span.lowerBound {
      guard kind == .pvh, let relocation = image.notes.relocation else {
        throw refuse(.notRelocatable(only: GuestPhysicalAddress(span.lowerBound)))
      }
      let alignment = relocation.alignment ?? Self.alignment(of: image)
      guard start % alignment == 0 else { throw refuse(.misaligned(alignment: alignment)) }
      guard start >= relocation.minimum else {
        throw refuse(.belowMinimum(GuestPhysicalAddress(relocation.minimum)))
      }
      guard !overflow, end - 1 <= relocation.maximum else {
        throw refuse(.aboveMaximum(lastByte: end &- 1, maximum: relocation.maximum))
      }
    }
    guard !overflow, kind == .linux64 || end <= BootLayout.fourGiB else { throw refuse(.above4GiB) }
    range = start..<end
    displacement = start &- span.lowerBound
    guard plan.isUsable(range) else {
      guard requested != nil else { throw .memoryTooSmall(name: "the kernel", needed: range) }
      throw refuse(.notUsableMemory(range))
    }
    let own = kind == .pvh ? image.notes.physicalEntry : image.physicalEntry
    guard let own, span.contains(own) else {
      throw .damaged("its entry point lies outside of what it loads")
    }
    entry = own &+ displacement
  }

  /// The default of XEN_ELFNOTE_PHYS32_RELOC: the largest alignment of a segment, from a page on.
  private static func alignment(of image: ELFImage) -> UInt64 {
    let largest = image.segments.map(\.alignment).max() ?? 0
    return largest >= 0x1000 ? largest : defaultAlignment
  }
}
