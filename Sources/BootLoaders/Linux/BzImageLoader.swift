/// Loads a bzImage by the 32- or 64-bit boot protocol.
enum BzImageLoader {
  /// The 64-bit entry lies this far behind the 32-bit one.
  private static let entry64Offset: UInt64 = 0x200

  static func load(_ context: BootContext) throws(BootError) -> LoadedGuest {
    var context = context
    let header = try SetupHeader(context.kernel)
    let image = BootImage.Kind.bzImage(is64Bit: header.is64Bit)
    let entry = try entry(for: header, image, wanted: context.options.entry)
    let placement = try KernelPlacement(
      header, requested: context.options.kernelAddress, entry: entry, plan: context.plan)
    context.plan.reserve(placement.takenRange)
    try context.placeCommandLine(limit: header.commandLineSize)
    let initialRAMDisk = try context.placeInitialRAMDisk(
      maximum: header.initialRAMDiskMaximum,
      mayBeHigh: entry == .linux64 && header.extendedLoadFlags.contains(.canBeLoadedAbove4G))
    try context.plan.write(
      "kernel", context.kernel.bytes, header.protectedModeRange, at: placement.loadAddress)
    let page = ZeroPage(header: header, of: context.kernel, placement: placement)
    try context.placeZeroPage(page, initialRAMDisk: initialRAMDisk)
    try context.placeDescriptorTable(is64Bit: entry == .linux64)
    var address = placement.loadAddress
    if entry == .linux64 {
      let loaded = address..<address + UInt64(header.protectedModeRange.count)
      try context.placePageTables(also: [loaded, placement.runRange])
      address += entry64Offset
    }
    return context.loaded(image, entry, at: address, kernelRange: placement.runRange)
  }

  private static func entry(
    for header: SetupHeader, _ image: BootImage.Kind, wanted: BootEntry?
  ) throws(BootError) -> BootEntry {
    switch wanted {
    case nil: return header.is64Bit ? .linux64 : .linux32
    case .linux32: return .linux32
    case .linux64 where header.is64Bit: return .linux64
    case .some(let other): throw .entryNotOffered(other, by: image)
    }
  }
}
