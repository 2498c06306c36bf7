import FirmwareTables
import GuestMemory
import MachineTypes
import Testing

/// Reads tables as an operating system does: from guest memory, by the layouts in the ACPI
/// specification, knowing nothing of the code that wrote them.
struct ACPIReader {
  let memory: GuestRAM

  struct Table {
    let signature: String
    let bytes: [UInt8]

    func integer<T: FixedWidthInteger>(_ type: T.Type, at offset: Int) -> T {
      (0..<MemoryLayout<T>.size).reduce(0) { $0 | T(bytes[offset + $1]) << T(8 * $1) }
    }

    var byteSum: UInt8 { bytes.reduce(0, &+) }
  }

  init(_ platform: PlatformDescription, memory size: UInt64 = 64.mebibytes) throws {
    memory = try GuestRAM(byteCount: size)
    try FirmwareImage(platform: platform, memory: memory).write(to: memory)
  }

  /// The RSDP, searched for as on a PC: every 16 bytes from 0xE0000 on.
  func pointer() throws -> Table {
    for address in stride(from: UInt64(0xE_0000), to: 0x10_0000, by: 16) {
      let bytes = try memory.bytes(at: GuestPhysicalAddress(address), count: 36)
      if bytes.starts(with: Array("RSD PTR ".utf8)) {
        return Table(signature: "RSD PTR ", bytes: bytes)
      }
    }
    throw GuestMemoryError.notRAM(GuestPhysicalAddress(0xE_0000), byteCount: 36)
  }

  func table(at address: UInt64) throws -> Table {
    let length = try memory.load(UInt32.self, at: GuestPhysicalAddress(address + 4))
    let bytes = try memory.bytes(at: GuestPhysicalAddress(address), count: Int(length))
    return Table(signature: String(decoding: bytes[..<4], as: UTF8.self), bytes: bytes)
  }

  /// The tables that the XSDT lists.
  func tables() throws -> [Table] {
    let xsdt = try table(at: pointer().integer(UInt64.self, at: 24))
    return try stride(from: 36, to: xsdt.bytes.count, by: 8).map {
      try table(at: xsdt.integer(UInt64.self, at: $0))
    }
  }

  func table(_ signature: String) throws -> Table {
    try #require(try tables().first { $0.signature == signature })
  }
}

struct ACPITests {
  @Test func `the pointer is found by search and both its sums are zero`() throws {
    let pointer = try ACPIReader(PlatformDescription(cpuCount: 1)).pointer()
    #expect(pointer.bytes[..<20].reduce(0, &+) == 0)
    #expect(pointer.byteSum == 0)
    #expect(pointer.bytes[15] == 2)
    #expect(pointer.integer(UInt32.self, at: 20) == 36)
  }

  @Test(arguments: [1, 2, 255, 256, 1024])
  func `every table's bytes sum to zero`(cpuCount: Int) throws {
    let reader = try ACPIReader(PlatformDescription(cpuCount: cpuCount, hasHPET: true))
    let pointer = try reader.pointer()
    let rsdt = try reader.table(at: UInt64(pointer.integer(UInt32.self, at: 16)))
    let xsdt = try reader.table(at: pointer.integer(UInt64.self, at: 24))
    let tables = try reader.tables()
    let dsdt = try reader.table(at: reader.table("FACP").integer(UInt64.self, at: 140))
    #expect(rsdt.signature == "RSDT")
    #expect(xsdt.signature == "XSDT")
    #expect(tables.map(\.signature) == ["FACP", "APIC", "HPET"])
    #expect(dsdt.signature == "DSDT")
    for table in [rsdt, xsdt, dsdt] + tables { #expect(table.byteSum == 0, "\(table.signature)") }
  }

  @Test func `the RSDT lists what the XSDT lists`() throws {
    let reader = try ACPIReader(PlatformDescription(cpuCount: 1))
    let pointer = try reader.pointer()
    let rsdt = try reader.table(at: UInt64(pointer.integer(UInt32.self, at: 16)))
    let xsdt = try reader.table(at: pointer.integer(UInt64.self, at: 24))
    let short = stride(from: 36, to: rsdt.bytes.count, by: 4).map {
      UInt64(rsdt.integer(UInt32.self, at: $0))
    }
    let long = stride(from: 36, to: xsdt.bytes.count, by: 8).map {
      xsdt.integer(UInt64.self, at: $0)
    }
    #expect(short == long)
  }

  @Test func `the fixed description names the chipset's registers`() throws {
    let fadt = try ACPIReader(PlatformDescription(cpuCount: 1)).table("FACP")
    #expect(fadt.bytes.count == 276)
    #expect(fadt.bytes[8] == 6)
    #expect(fadt.integer(UInt16.self, at: 46) == 9)
    #expect(fadt.integer(UInt32.self, at: 48) == 0)
    #expect(fadt.integer(UInt32.self, at: 56) == 0x600)
    #expect(fadt.integer(UInt32.self, at: 64) == 0x604)
    #expect(fadt.integer(UInt32.self, at: 76) == 0x608)
    #expect(fadt.integer(UInt32.self, at: 80) == 0x620)
    #expect(Array(fadt.bytes[88...93]) == [4, 2, 0, 4, 4, 0])
    #expect(fadt.bytes[108] == 0x32)
    #expect(fadt.integer(UInt16.self, at: 109) == 0b111)
    let flags = fadt.integer(UInt32.self, at: 112)
    #expect(flags & (1 << 0) != 0, "WBINVD")
    #expect(flags & (1 << 4) == 0, "fixed power button")
    #expect(flags & (1 << 8) != 0, "TMR_VAL_EXT")
    #expect(flags & (1 << 10) != 0, "RESET_REG_SUP")
    #expect(flags & (1 << 20) == 0, "not hardware-reduced")
    #expect(Array(fadt.bytes[116..<120]) == [1, 8, 0, 1])
    #expect(fadt.integer(UInt64.self, at: 120) == 0xCF9)
    #expect(fadt.bytes[128] == 6)
    #expect(fadt.integer(UInt64.self, at: 148 + 4) == 0x600)
    #expect(fadt.integer(UInt64.self, at: 172 + 4) == 0x604)
    #expect(fadt.integer(UInt64.self, at: 208 + 4) == 0x608)
    #expect(fadt.integer(UInt64.self, at: 220 + 4) == 0x620)
  }

  @Test func `the control structure is aligned to 64 bytes`() throws {
    let reader = try ACPIReader(PlatformDescription(cpuCount: 3))
    let address = UInt64(try reader.table("FACP").integer(UInt32.self, at: 36))
    let facs = try reader.table(at: address)
    #expect(address % 64 == 0)
    #expect(facs.signature == "FACS")
    #expect(facs.bytes.count == 64)
    #expect(facs.bytes[32] == 2)
  }

  @Test(arguments: [1, 4, 255, 256, 300])
  func `every processor has an interrupt controller of the kind its id needs`(
    cpuCount: Int
  ) throws {
    let madt = try ACPIReader(PlatformDescription(cpuCount: cpuCount)).table("APIC")
    var short: [UInt32] = []
    var extended: [UInt32] = []
    var kinds: Set<UInt8> = []
    var offset = 44
    while offset < madt.bytes.count {
      let kind = madt.bytes[offset]
      kinds.insert(kind)
      switch kind {
      case 0:
        #expect(madt.bytes[offset + 2] == madt.bytes[offset + 3])
        #expect(madt.integer(UInt32.self, at: offset + 4) == 1)
        short.append(UInt32(madt.bytes[offset + 3]))
      case 1:
        #expect(madt.integer(UInt32.self, at: offset + 4) == 0xFEC0_0000)
        #expect(madt.integer(UInt32.self, at: offset + 8) == 0)
      case 2:
        let source = madt.bytes[offset + 3]
        let global = madt.integer(UInt32.self, at: offset + 4)
        let flags = madt.integer(UInt16.self, at: offset + 8)
        #expect((source, global, flags) == (0, 2, 5) || (source, global, flags) == (9, 9, 13))
      case 9:
        let id = madt.integer(UInt32.self, at: offset + 4)
        #expect(madt.integer(UInt32.self, at: offset + 8) == 1)
        #expect(madt.integer(UInt32.self, at: offset + 12) == id)
        extended.append(id)
      case 4: #expect(Array(madt.bytes[offset + 2..<offset + 6]) == [0xFF, 0, 0, 1])
      case 10: #expect(madt.integer(UInt32.self, at: offset + 4) == UInt32.max)
      default: Issue.record("unexpected entry of type \(kind)")
      }
      offset += Int(madt.bytes[offset + 1])
    }
    #expect(offset == madt.bytes.count)
    #expect(short == (0..<UInt32(min(cpuCount, 255))).map { $0 })
    #expect(extended == (0..<UInt32(cpuCount)).dropFirst(255).map { $0 })
    #expect(kinds.contains(10) == (cpuCount > 255))
    #expect(madt.integer(UInt32.self, at: 36) == 0xFEE0_0000)
  }

  @Test func `a machine without HPET has no table of it`() throws {
    let tables = try ACPIReader(PlatformDescription(cpuCount: 1)).tables()
    #expect(!tables.contains { $0.signature == "HPET" })
  }

  @Test func `the HPET table gives the timer's address`() throws {
    let hpet = try ACPIReader(PlatformDescription(cpuCount: 1, hasHPET: true)).table("HPET")
    #expect(hpet.bytes.count == 56)
    #expect(hpet.integer(UInt64.self, at: 44) == 0xFED0_0000)
  }

  @Test(arguments: [0, -1, 1025])
  func `an impossible number of processors is refused`(count: Int) {
    #expect(throws: FirmwareError.cpuCount(count)) {
      try FirmwareImage(
        platform: PlatformDescription(cpuCount: count), lowByteCount: 64.mebibytes)
    }
  }

  @Test func `tables that outgrow their area are refused`() {
    var platform = PlatformDescription(cpuCount: 1)
    platform.systemBusObjects = [.name("BLOB", .buffer([UInt8](repeating: 7, count: 0x1_0000)))]
    #expect {
      try FirmwareImage(platform: platform, lowByteCount: 64.mebibytes)
    } throws: { error in
      guard case FirmwareError.tablesTooLarge(_, room: 0x1_0000) = error else { return false }
      return true
    }
  }
}
