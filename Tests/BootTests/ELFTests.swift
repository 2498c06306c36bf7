import BootLoaders
import GuestMemory
import MachineTypes
import Testing
import X86

struct ELFTests {
  private let pvh = SyntheticELF(pvhEntry: 0x100_0040)

  @Test(arguments: [false, true])
  func `a vmlinux starts by the protocol of its word size`(is64Bit: Bool) throws {
    let (guest, memory) = try load(SyntheticELF(is64Bit: is64Bit).bytes)
    #expect(guest.image == .elf(is64Bit: is64Bit))
    #expect(guest.entry == (is64Bit ? .linux64 : .linux32))
    #expect(guest.state.instructionPointer == SyntheticELF.address + 0x10)
    #expect(guest.kernelRange == 0x100_0000..<0x100_5000)
    #expect(try memory.load(UInt32.self, at: GuestPhysicalAddress(0x7202)) == 0x5372_6448)
    #expect(try memory.load(UInt8.self, at: GuestPhysicalAddress(0x100_0000)) == 1)
    #expect(
      try memory.load(UInt8.self, at: GuestPhysicalAddress(SyntheticELF.secondAddress))
        == UInt8(truncatingIfNeeded: 0x200 * 5 + 1))
  }

  @Test func `what a segment does not hold in the file is cleared`() throws {
    let (memory, firmware) = try machine(memory: 64.mebibytes)
    try memory.store(UInt64.max, at: GuestPhysicalAddress(0x100_0FF8))
    _ = try LinuxBootLoader.load(
      kernel: pvh.bytes, commandLine: "", memory: memory, firmware: firmware, signature: 0)
    #expect(try memory.load(UInt64.self, at: GuestPhysicalAddress(0x100_0FF8)) == 0)
  }

  @Test func `an entry given as a virtual address is translated`() throws {
    var elf = SyntheticELF()
    elf.put(0xFFFF_FFFF_8100_0020, at: 24, byteCount: 8)
    let (guest, _) = try load(elf.bytes)
    #expect(guest.entryAddress == GuestPhysicalAddress(0x100_0020))
  }

  @Test(arguments: [false, true])
  func `a PVH note is preferred and its start info complete`(is64Bit: Bool) throws {
    let elf = SyntheticELF(is64Bit: is64Bit, pvhEntry: 0x100_0040)
    let (guest, memory) = try load(elf.bytes, initialRAMDisk: [7, 7, 7], commandLine: "abc")
    #expect(guest.image == .pvh(is64Bit: is64Bit))
    #expect(guest.entry == .pvh)
    #expect(guest.state.instructionPointer == 0x100_0040)
    #expect(guest.state.cr0 == [.protectionEnable, .extensionType])
    #expect(guest.state.cr4 == [])
    #expect(guest.state.taskRegister.limit == 0x67)
    let info = guest.state.generalRegisters[3]
    func field<T: FixedWidthInteger & BitwiseCopyable>(
      _ type: T.Type, _ address: UInt64
    ) throws -> T { try memory.load(type, at: GuestPhysicalAddress(address)) }
    #expect(try field(UInt32.self, info) == 0x336E_C578)
    #expect(try field(UInt32.self, info + 4) == 1)
    #expect(try field(UInt32.self, info + 12) == 1)
    let module = try field(UInt64.self, info + 16)
    #expect(try field(UInt64.self, module) == 64.mebibytes - 4096)
    #expect(try field(UInt64.self, module + 8) == 3)
    let line = try field(UInt64.self, info + 24)
    #expect(
      try memory.bytes(at: GuestPhysicalAddress(line), count: 4) == Array("abc\0".utf8))
    #expect(try field(UInt64.self, info + 32) == 0xE_0000)
    let map = try field(UInt64.self, info + 40)
    #expect(try field(UInt32.self, info + 48) == 5)
    #expect(try field(UInt64.self, map + 3 * 24) == 0x10_0000)
    #expect(try field(UInt32.self, map + 3 * 24 + 16) == 1)
  }

  @Test func `PVH can be declined`() throws {
    let (guest, _) = try load(pvh.bytes, options: BootOptions(entry: .linux64))
    #expect(guest.entry == .linux64)
    #expect(throws: BootError.entryNotOffered(.pvh, by: .elf(is64Bit: true))) {
      try load(SyntheticELF().bytes, options: BootOptions(entry: .pvh))
    }
  }

  @Test(arguments: [0x20_0000, 0x40_0000, 0x100_0000, 0x1E0_0000, 0x300_0000] as [UInt64])
  func `a PVH kernel with a relocation note lies where it is told to`(address: UInt64) throws {
    let elf = SyntheticELF(
      pvhEntry: 0x100_0040,
      relocation: .init(words: [0x20_0000, 0x20_0000, 0x3FF_FFFF]))
    let (guest, memory) = try load(elf.bytes, options: .at(address))
    #expect(guest.state.instructionPointer == address + 0x40)
    #expect(try memory.load(UInt8.self, at: GuestPhysicalAddress(address)) == 1)
  }

  @Test func `the relocation note's limits are kept`() {
    let elf = SyntheticELF(
      pvhEntry: 0x100_0040,
      relocation: .init(words: [0x20_0000, 0x40_0000, 0x2FF_FFFF]))
    let cases: [(UInt64, AddressRefusal)] = [
      (0x50_0000, .misaligned(alignment: 0x20_0000)),
      (0x20_0000, .belowMinimum(GuestPhysicalAddress(0x40_0000))),
      (0x300_0000, .aboveMaximum(lastByte: 0x300_4FFF, maximum: 0x2FF_FFFF)),
    ]
    for (address, reason) in cases {
      #expect(throws: BootError.kernelAddress(GuestPhysicalAddress(address), reason)) {
        try load(elf.bytes, options: .at(address))
      }
    }
  }

  @Test func `without a relocation note an ELF kernel stays where it is linked`() throws {
    _ = try load(pvh.bytes, options: .at(SyntheticELF.address))
    let only = AddressRefusal.notRelocatable(only: GuestPhysicalAddress(SyntheticELF.address))
    for elf in [pvh, SyntheticELF(), SyntheticELF(is64Bit: false)] {
      #expect(throws: BootError.kernelAddress(GuestPhysicalAddress(0x120_0000), only)) {
        try load(elf.bytes, options: .at(0x120_0000))
      }
    }
  }

  @Test func `damaged ELF headers are refused`() {
    let first = SyntheticELF.header(0, is64Bit: true)
    let cases: [(offset: Int, value: UInt64, byteCount: Int, word: String)] = [
      (54, 8, 2, "program headers"),
      (56, 0, 2, "nothing to load"),
      (56, 129, 2, "129 program headers"),
      (first + 32, 0x1001, 8, "cut short"),
      (first + 40, 0x100, 8, "more bytes in the file"),
      (first + 40, 0x4000, 8, "overlap"),
      (first + 24, UInt64.max - 8, 8, "end of the address space"),
      (first + 8, UInt64.max, 8, "cut short"),
      (32, UInt64.max - 3, 8, "cut short"),
      (24, 0x5000, 8, "entry point"),
    ]
    for test in cases {
      var elf = SyntheticELF()
      elf.put(test.value, at: test.offset, byteCount: test.byteCount)
      #expect {
        try load(elf.bytes)
      } throws: { error in
        guard let error = error as? BootError else { return false }
        return error.description.contains(test.word)
      }
    }
  }

  @Test func `an ELF kernel outside of RAM is told what it needs`() {
    var elf = SyntheticELF()
    elf.put(0x500_0000, at: SyntheticELF.header(1, is64Bit: true) + 24, byteCount: 8)
    #expect(
      throws: BootError.memoryTooSmall(name: "the kernel", needed: 0x100_0000..<0x500_2000)
    ) { try load(elf.bytes) }
  }

  @Test func `a memory map that the start info has no room for is refused`() throws {
    #expect(throws: BootError.memoryMapTooLong(entries: 1000, limit: 679)) {
      try load(pvh.bytes, memoryMapEntryCount: 1000)
    }
    #expect(throws: BootError.memoryMapTooLong(entries: 129, limit: 128)) {
      try load(SyntheticELF().bytes, memoryMapEntryCount: 129)
    }
  }

  @Test func `a file of nothing but notes is read in bounded time`() throws {
    var elf = SyntheticELF()
    let first = SyntheticELF.header(0, is64Bit: true)
    elf.bytes += [UInt8](repeating: 0, count: 8 << 20)
    for index in 3..<7 {
      let header = Array(elf.bytes[first + 2 * 56..<first + 3 * 56])
      elf.bytes.replaceSubrange(first + index * 56..<first + (index + 1) * 56, with: header)
    }
    elf.put(7, at: 56, byteCount: 2)
    for index in 2..<7 {
      elf.put(0x1000, at: first + index * 56 + 8, byteCount: 8)
      elf.put(8 << 20 - 0x1000, at: first + index * 56 + 32, byteCount: 8)
    }
    let start = ContinuousClock.now
    #expect(BootImage.identify(elf.bytes) == .elf(is64Bit: true))
    #expect(ContinuousClock.now - start < .seconds(2))
  }
}
