import BootLoaders
import GuestMemory
import MachineTypes
import Testing
import X86

struct BzImageTests {
  private let image = SyntheticBzImage()
  private let image32 = SyntheticBzImage(is64Bit: false)

  private func refusal(_ address: UInt64, _ reason: AddressRefusal) -> BootError {
    .kernelAddress(GuestPhysicalAddress(address), reason)
  }

  @Test func `the zero page carries header, memory map, command line and RSDP`() throws {
    let (guest, memory) = try load(image.bytes, commandLine: "quiet panic=1")
    let page = guest.state.generalRegisters[6]
    func field<T: FixedWidthInteger & BitwiseCopyable>(
      _ type: T.Type, _ offset: UInt64
    ) throws -> T { try memory.load(type, at: GuestPhysicalAddress(page + offset)) }
    #expect(try field(UInt8.self, 0x1EF) == 0, "sentinel")
    #expect(try field(UInt16.self, 0x1FE) == 0xAA55)
    #expect(try field(UInt8.self, 0x210) == 0xFF)
    #expect(try field(UInt64.self, 0x70) == 0xE_0000)
    let line = GuestPhysicalAddress(UInt64(try field(UInt32.self, 0x228)))
    #expect(try memory.bytes(at: line, count: 14) == Array("quiet panic=1\0".utf8))
    let count = Int(try field(UInt8.self, 0x1E8))
    #expect(count == 5)
    let types = try (0..<UInt64(count)).map { try field(UInt32.self, 0x2D0 + 20 * $0 + 16) }
    #expect(types == [1, 2, 2, 1, 2])
    #expect(try field(UInt64.self, 0x2D0 + 60) == 0x10_0000)
    #expect(try field(UInt8.self, 0x06) == 0, "no video mode")
  }

  @Test func `the 64-bit entry has page tables that map the first 4 GiB to themselves`() throws {
    let (guest, memory) = try load(image.bytes)
    for address in [0, 0x7000, 0x100_0200, 0xC000_0000, 0xFFFF_FFFF] as [UInt64] {
      var table = guest.state.cr3
      for shift in [39, 30] as [UInt64] {
        let entry = try memory.load(
          UInt64.self, at: GuestPhysicalAddress(table + (address >> shift & 511) * 8))
        #expect(entry & 0b1000_0011 == 0b11)
        table = entry & ~0xFFF
      }
      let page = try memory.load(
        UInt64.self, at: GuestPhysicalAddress(table + (address >> 21 & 511) * 8))
      #expect(page & 0xFFF == 0b1000_0011)
      #expect(page & ~0xFFF == address & ~0x1F_FFFF)
    }
    #expect(guest.state.cr4 == [.physicalAddressExtension])
    #expect(guest.state.flags == .alwaysOne)
  }

  @Test(arguments: [BootEntry.linux32, .linux64])
  func `descriptors in memory agree with the segment registers`(entry: BootEntry) throws {
    let (guest, memory) = try load(image.bytes, options: BootOptions(entry: entry))
    let state = guest.state
    let all = state.segments + [state.taskRegister]
    #expect(state.segments[1].selector == 0x10)
    #expect([0, 2, 3].allSatisfy { state.segments[$0].selector == 0x18 })
    for segment in all {
      let address = state.globalDescriptorTable.base + UInt64(segment.selector)
      #expect(segment.selector + 7 <= state.globalDescriptorTable.limit)
      let descriptor = try memory.load(UInt64.self, at: GuestPhysicalAddress(address))
      let base = descriptor >> 16 & 0xFF_FFFF | descriptor >> 32 & 0xFF00_0000
      var limit = descriptor & 0xFFFF | descriptor >> 32 & 0xF_0000
      if descriptor >> 55 & 1 != 0 { limit = limit << 12 | 0xFFF }
      #expect(base == segment.base)
      #expect(limit == UInt64(segment.limit))
      #expect(UInt32(descriptor >> 40 & 0xF0FF) == segment.attributes)
    }
    #expect(state.segments[1].attributes & 1 << 13 == (entry == .linux64 ? 1 << 13 : 0))
  }

  @Test func `a RAM disk lies as high as it may, page-aligned`() throws {
    let disk = [UInt8](repeating: 0xA5, count: 5000)
    let (guest, memory) = try load(
      image.with(UInt32(0x200_0FFF), at: 0x22C).bytes, initialRAMDisk: disk)
    let placement = try #require(guest.placement("initial RAM disk"))
    #expect(placement.address == GuestPhysicalAddress(0x200_1000 - 0x2000))
    #expect(try memory.bytes(at: placement.address, count: 5000) == disk)
    #expect(try memory.load(UInt32.self, at: GuestPhysicalAddress(0x7218)) == 0x1FF_F000)
    #expect(try memory.load(UInt32.self, at: GuestPhysicalAddress(0x721C)) == 5000)
  }

  @Test func `a RAM disk that fits only above 4 GiB goes there when the kernel allows it`() throws {
    let low = image.with(UInt32(0x180_0000), at: 0x22C)
    let disk = [UInt8](repeating: 1, count: 24 << 20)
    let (guest, memory) = try load(low.bytes, initialRAMDisk: disk, memory: 3136.mebibytes)
    let placement = try #require(guest.placement("initial RAM disk"))
    #expect(placement.address == GuestPhysicalAddress(0x1_0000_0000 + 40.mebibytes))
    #expect(try memory.load(UInt32.self, at: GuestPhysicalAddress(0x70C0)) == 1)
    #expect(throws: BootError.initialRAMDiskTooLarge(byteCount: disk.count, room: 15 << 20)) {
      try load(low.with(UInt16(1), at: 0x236).bytes, initialRAMDisk: disk, memory: 3136.mebibytes)
    }
  }

  @Test func `a RAM disk without room is refused with the room there is`() {
    let disk = [UInt8](repeating: 0, count: 48 << 20)
    #expect(
      throws: BootError.initialRAMDiskTooLarge(
        byteCount: 48 << 20, room: 64.mebibytes - 0x140_0000)
    ) { try load(image.bytes, initialRAMDisk: disk) }
  }

  @Test func `a command line of exactly the limit is taken, one more byte is not`() throws {
    _ = try load(image.bytes, commandLine: String(repeating: "x", count: 2047))
    #expect(throws: BootError.commandLineTooLong(byteCount: 2048, limit: 2047)) {
      try load(image.bytes, commandLine: String(repeating: "x", count: 2048))
    }
    #expect(throws: BootError.commandLineContainsNUL) {
      try load(image.bytes, commandLine: "a\0b")
    }
  }

  @Test func `setup data is a list that ends`() throws {
    let nodes = [SetupDataNode.randomSeed([1, 2, 3]), SetupDataNode(type: 77, bytes: [])]
    let (_, memory) = try load(image.bytes, options: BootOptions(setupData: nodes))
    var found: [(UInt32, [UInt8])] = []
    var address = try memory.load(UInt64.self, at: GuestPhysicalAddress(0x7250))
    while address != 0 {
      #expect(address % 8 == 0)
      let length = try memory.load(UInt32.self, at: GuestPhysicalAddress(address + 12))
      found.append(
        (
          try memory.load(UInt32.self, at: GuestPhysicalAddress(address + 8)),
          try memory.bytes(at: GuestPhysicalAddress(address + 16), count: Int(length))
        ))
      address = try memory.load(UInt64.self, at: GuestPhysicalAddress(address))
    }
    #expect(found.map(\.0) == [9, 77])
    #expect(found.map(\.1) == [[1, 2, 3], []])
  }

  @Test func `setup data that does not fit is refused`() {
    let node = SetupDataNode(type: 1, bytes: [UInt8](repeating: 0, count: 0x6_0000))
    #expect(throws: BootError.setupDataTooLarge(byteCount: 0x6_0018, limit: 0x6_0000)) {
      try load(image.bytes, options: BootOptions(setupData: [node]))
    }
  }

  @Test func `an address below the preferred one is allowed and the kernel moves up`() throws {
    let (guest, memory) = try load(image.bytes, options: .at(0x40_0000))
    #expect(guest.entryAddress == GuestPhysicalAddress(0x40_0200))
    #expect(guest.kernelRange == 0x100_0000..<0x140_0000)
    let start = SyntheticBzImage.setupByteCount
    #expect(
      try memory.bytes(at: GuestPhysicalAddress(0x40_0000), count: 64)
        == Array(image.bytes[start..<start + 64]))
  }

  @Test func `an address off the alignment lowers kernel_alignment as far as the header allows`()
    throws
  {
    let (_, memory) = try load(image32.bytes, options: .at(0x120_6000))
    #expect(try memory.load(UInt32.self, at: GuestPhysicalAddress(0x7230)) == 0x2000)
    #expect(throws: refusal(0x120_1000, .misaligned(alignment: 0x2000))) {
      try load(image32.bytes, options: .at(0x120_1000))
    }
    #expect(throws: refusal(0x110_0000, .misaligned(alignment: 0x20_0000))) {
      try load(image.bytes, options: .at(0x110_0000))
    }
  }

  @Test func `impossible addresses are refused with the reason`() throws {
    #expect(
      throws: refusal(0, .belowMinimum(GuestPhysicalAddress(0x10_0000)))
    ) { try load(image.bytes, options: .at(0)) }
    #expect(throws: refusal(0x3E0_0000, .notUsableMemory(0x3E0_0000..<0x420_0000))) {
      try load(image.bytes, options: .at(0x3E0_0000))
    }
    #expect(throws: refusal(0x1_0000_0000, .above4GiB)) {
      try load(image.bytes, options: .at(0x1_0000_0000, .linux32), memory: 4096.mebibytes)
    }
    #expect(throws: refusal(1 << 63, .notUsableMemory((1 << 63)..<(1 << 63 + 0x40_0000)))) {
      try load(image.bytes, options: .at(1 << 63))
    }
    #expect(
      throws: refusal(0x3800_0000, .aboveMaximum(lastByte: 0x383F_FFFF, maximum: 0x37FF_FFFF))
    ) { try load(image32.bytes, options: .at(0x3800_0000), memory: 1024.mebibytes) }
    #expect(
      throws: refusal(
        0x40_0000, .notRelocatable(only: GuestPhysicalAddress(0x100_0000)))
    ) { try load(image.with(UInt8(0), at: 0x234).bytes, options: .at(0x40_0000)) }
  }

  @Test func `a kernel above 4 GiB is mapped there`() throws {
    let address: UInt64 = 0x1_0020_0000
    let (guest, memory) = try load(image.bytes, options: .at(address), memory: 3136.mebibytes)
    #expect(guest.entryAddress == GuestPhysicalAddress(address + 0x200))
    let pointers = try memory.load(UInt64.self, at: GuestPhysicalAddress(guest.state.cr3)) & ~0xFFF
    let directory = try memory.load(UInt64.self, at: GuestPhysicalAddress(pointers + 32)) & ~0xFFF
    let page = try memory.load(UInt64.self, at: GuestPhysicalAddress(directory + 8))
    #expect(page == address | 0b1000_0011)
    #expect(throws: refusal(address, .above4GiB)) {
      try load(
        image.with(UInt16(1), at: 0x236).bytes, options: .at(address), memory: 3136.mebibytes)
    }
  }

  @Test func `a machine too small for the kernel is told what it needs`() {
    #expect(
      throws: BootError.memoryTooSmall(name: "the kernel", needed: 0x100_0000..<0x140_0000)
    ) { try load(image.bytes, memory: 18.mebibytes) }
  }

  @Test func `damaged headers are refused`() {
    let spoilt: [(SyntheticBzImage, String)] = [
      (image.with(UInt16(0), at: 0x1FE), "0xaa55"),
      (image.with(UInt8(0x10), at: 0x201), "ends at"),
      (image.with(UInt32(0), at: 0x1F4), "no protected-mode code"),
      (image.with(UInt32(3), at: 0x230), "kernel_alignment"),
      (image.with(UInt32(0), at: 0x230), "kernel_alignment"),
      (image.with(UInt8(63), at: 0x235), "min_alignment"),
      (image.with(UInt32.max, at: 0x24C), "payload"),
      (image.with(UInt32(0x100), at: 0x260), "init_size"),
      (image.with(UInt64.max, at: 0x258), "preferred address"),
    ]
    for (image, word) in spoilt {
      #expect {
        try load(image.bytes)
      } throws: { error in
        guard case BootError.damaged(let what) = error else { return false }
        return what.contains(word)
      }
    }
  }

  @Test func `old kernels are refused by version`() {
    #expect(throws: BootError.protocolTooOld(version: 0x205)) {
      try load(image.with(UInt16(0x205), at: 0x206).bytes)
    }
    #expect(throws: BootError.foreign(.zImage)) {
      try load(image.with(UInt8(0), at: 0x211).bytes)
    }
  }

  @Test func `a kernel of protocol 2.06 loads at 1 MiB`() throws {
    let (guest, _) = try load(image.with(UInt16(0x206), at: 0x206).bytes)
    #expect(guest.entry == .linux32)
    #expect(guest.entryAddress == GuestPhysicalAddress(0x10_0000))
  }

  @Test func `every truncation is refused as one`() {
    for length in [0x210, 0x28F, 0x290, 0xA00, image.bytes.count - 17] {
      #expect {
        try load(Array(image.bytes[..<length]))
      } throws: { error in
        guard case BootError.truncated(_, let needed, let available) = error else { return false }
        return needed > available && available == UInt64(length)
      }
    }
  }

  @Test func `a kernel may end in the middle of its last paragraph`() throws {
    _ = try load(Array(image.bytes.dropLast(15)))
  }
}
