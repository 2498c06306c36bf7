import FirmwareTables
import GuestMemory
import MachineTypes
import Testing

struct MemoryMapTests {
  private func kinds(_ map: MemoryMap) -> [String] {
    map.entries.map {
      "\(String($0.start.rawValue, radix: 16))+\(String($0.byteCount, radix: 16)) \($0.kind)"
    }
  }

  @Test func `a small machine has RAM around the hole of a PC`() {
    let map = MemoryMap(lowByteCount: 512.mebibytes, highByteCount: 0)
    #expect(
      kinds(map) == [
        "0+9fc00 usable", "9fc00+400 reserved", "e0000+20000 reserved", "100000+1ff00000 usable",
        "fec00000+1400000 reserved",
      ])
  }

  @Test func `memory beyond 3 GiB continues above 4 GiB`() {
    let map = MemoryMap(lowByteCount: 3072.mebibytes, highByteCount: 1024.mebibytes)
    #expect(kinds(map).last == "100000000+40000000 usable")
    #expect(map.isUsable(0x1_0000_0000..<0x1_4000_0000))
    #expect(!map.isUsable(0x9_F000..<0xA_0000))
    #expect(!map.isUsable(0xBFFF_FFFF..<0xC000_0001))
  }

  @Test(
    arguments: [(1.mebibytes, 0), (64.mebibytes, 0), (3072.mebibytes, 1 << 40)]
      as [(UInt64, UInt64)])
  func `entries ascend without overlaps`(low: UInt64, high: UInt64) {
    let map = MemoryMap(lowByteCount: low, highByteCount: high)
    for (a, b) in zip(map.entries, map.entries.dropFirst()) {
      #expect(a.end <= b.start.rawValue)
    }
    #expect(map.entries.allSatisfy { $0.byteCount > 0 })
  }

  @Test func `a machine without extended memory is refused`() {
    #expect(throws: FirmwareError.memoryTooSmall(byteCount: 4096)) {
      try FirmwareImage(platform: PlatformDescription(cpuCount: 1), lowByteCount: 4096)
    }
  }

  @Test func `the BIOS data area tells where base memory ends`() throws {
    let (memory, firmware) = try machine()
    try firmware.write(to: memory)
    #expect(try memory.load(UInt16.self, at: GuestPhysicalAddress(0x40E)) == 0x9FC0)
    #expect(try memory.load(UInt16.self, at: GuestPhysicalAddress(0x413)) == 639)
  }
}
