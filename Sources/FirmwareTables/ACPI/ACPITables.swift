/// All ACPI tables, placed one after the other from `FirmwareLayout.acpiTables` on.
struct ACPITables {
  let address: UInt64
  let bytes: [UInt8]

  init(_ platform: PlatformDescription) throws(FirmwareError) {
    address = FirmwareLayout.acpiTables
    var placer = Placer(base: address)
    // The pointers come first, so the lists are written last: reserve their room.
    placer.reserve(RootSystemDescriptionPointer.byteCount)
    let facs = placer.place(
      FirmwareACPIControlStructure.bytes, alignment: FirmwareACPIControlStructure.alignment)
    let dsdt = placer.place(DifferentiatedSystemDescriptionTable(platform: platform).table.bytes)
    let fadt = FixedACPIDescriptionTable(
      facs: facs, dsdt: dsdt, hasKeyboardController: platform.hasKeyboardController)
    var tables = [placer.place(fadt.table.bytes)]
    tables.append(
      placer.place(MultipleAPICDescriptionTable(cpuCount: platform.cpuCount).table.bytes))
    if platform.hasHPET { tables.append(placer.place(HighPrecisionEventTimerTable.table.bytes)) }
    if let root = platform.pciRoot { tables.append(placer.place(root.configurationTable.bytes)) }
    let rsdt = placer.place(RootSystemDescriptionTable.rsdt(tables: tables).bytes)
    let xsdt = placer.place(RootSystemDescriptionTable.xsdt(tables: tables).bytes)
    let pointer = RootSystemDescriptionPointer.bytes(
      rsdt: UInt32(truncatingIfNeeded: rsdt), xsdt: xsdt)
    bytes = pointer + placer.bytes.dropFirst(pointer.count)
    guard bytes.count <= FirmwareLayout.acpiTablesByteCount else {
      throw .tablesTooLarge(byteCount: bytes.count, room: FirmwareLayout.acpiTablesByteCount)
    }
  }

  private struct Placer {
    let base: UInt64
    private(set) var bytes: [UInt8] = []

    init(base: UInt64) { self.base = base }

    mutating func reserve(_ count: Int) {
      bytes.append(contentsOf: repeatElement(0, count: count))
    }

    /// Returns the address it placed `table` at.
    mutating func place(_ table: [UInt8], alignment: UInt64 = 16) -> UInt64 {
      while UInt64(bytes.count) % alignment != 0 { bytes.append(0) }
      let address = base + UInt64(bytes.count)
      bytes.append(contentsOf: table)
      return address
    }
  }
}
