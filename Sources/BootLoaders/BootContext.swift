import FirmwareTables
import GuestMemory
import MachineTypes
import X86

/// What every kind of loader needs: the things to load, and the memory to load them into.
struct BootContext {
  let kernel: ByteReader
  let initialRAMDisk: [UInt8]
  let commandLine: [UInt8]
  let options: BootOptions
  let firmware: FirmwareImage
  let signature: UInt32
  var plan: MemoryPlan

  /// Places the command line, NUL-terminated.
  mutating func placeCommandLine(limit: Int) throws(BootError) {
    guard !commandLine.contains(0) else { throw .commandLineContainsNUL }
    let room = Int(BootLayout.commandLineEnd - BootLayout.commandLine) - 1
    guard commandLine.count <= min(limit, room) else {
      throw .commandLineTooLong(byteCount: commandLine.count, limit: min(limit, room))
    }
    try plan.write("command line", commandLine + [0], at: BootLayout.commandLine)
  }

  /// Places the initial RAM disk as high as it may lie; `nil` without one.
  ///
  /// - Parameters:
  ///   - maximum: the highest address of its last byte below 4 GiB.
  ///   - mayBeHigh: whether it may lie above `maximum` when there is no room below.
  mutating func placeInitialRAMDisk(
    maximum: UInt64, mayBeHigh: Bool
  ) throws(BootError) -> Range<UInt64>? {
    guard !initialRAMDisk.isEmpty else { return nil }
    let byteCount = UInt64(initialRAMDisk.count)
    let low = BootLayout.lowestKernel..<max(BootLayout.lowestKernel, maximum + 1)
    let all = BootLayout.lowestKernel..<UInt64.max
    let windows = mayBeHigh ? [low, all] : [low]
    for window in windows {
      guard let address = plan.highestAddress(for: byteCount, in: window) else { continue }
      let range = address..<address + byteCount
      plan.reserve(range)
      try plan.write("initial RAM disk", initialRAMDisk, at: address)
      return range
    }
    let room = windows.map { plan.largestGap(in: $0) }.max() ?? 0
    throw .initialRAMDiskTooLarge(
      byteCount: initialRAMDisk.count, room: room & ~(GuestRAM.pageSize - 1))
  }

  /// Places the nodes asked for and returns the first one's address, 0 without any.
  mutating func placeSetupData() throws(BootError) -> UInt64 {
    let limit = Int(BootLayout.end - BootLayout.setupData)
    let total = options.setupData.reduce(0) { $0 + $1.bytes.count + 24 }
    guard total <= limit else { throw .setupDataTooLarge(byteCount: total, limit: limit) }
    guard !options.setupData.isEmpty else { return 0 }
    let list = SetupDataList.bytes(options.setupData, at: BootLayout.setupData)
    try plan.write("setup data", list, at: BootLayout.setupData)
    return BootLayout.setupData
  }

  /// Fills in what every zero page has and places it.
  mutating func placeZeroPage(
    _ page: ZeroPage, initialRAMDisk: Range<UInt64>?
  ) throws(BootError) {
    var page = page
    try page.setMemoryMap(firmware.memoryMap)
    page.setRootSystemDescriptionPointer(firmware.rootSystemDescriptionPointer.rawValue)
    page.setCommandLine(BootLayout.commandLine)
    page.setSetupData(try placeSetupData())
    if let initialRAMDisk { page.setInitialRAMDisk(initialRAMDisk) }
    try plan.write("zero page", page.bytes, at: BootLayout.zeroPage)
  }

  mutating func placeDescriptorTable(is64Bit: Bool) throws(BootError) {
    try plan.write(
      "GDT", EntryState.globalDescriptorTable(is64Bit: is64Bit),
      at: BootLayout.globalDescriptorTable)
  }

  mutating func placePageTables(also ranges: [Range<UInt64>]) throws(BootError) {
    let tables = IdentityPageTables(base: BootLayout.pageTables, also: ranges)
    guard BootLayout.pageTables + tables.byteCount <= BootLayout.pageTablesEnd else {
      throw .damaged("it asks for more memory than its boot page tables can map")
    }
    try plan.write("page tables", tables.bytes, at: BootLayout.pageTables)
  }

  func loaded(
    _ image: BootImage.Kind, _ entry: BootEntry, at address: UInt64, kernelRange: Range<UInt64>
  ) -> LoadedGuest {
    var state =
      entry == .linux64
      ? EntryState.longMode(signature: signature, entry: address)
      : EntryState.protectedMode(signature: signature, entry: address)
    switch entry {
    case .linux32, .linux64: state[.rsi] = BootLayout.zeroPage
    case .pvh: state[.rbx] = BootLayout.startInfo
    }
    return LoadedGuest(
      state: state, image: image, entry: entry, entryAddress: GuestPhysicalAddress(address),
      kernelRange: kernelRange, placements: plan.placements)
  }
}
