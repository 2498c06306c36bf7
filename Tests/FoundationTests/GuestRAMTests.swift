import GuestMemory
import MachineTypes
import Testing

struct GuestRAMTests {
  @Test func `memory beyond 3 GiB continues at 4 GiB`() throws {
    let ram = try GuestRAM(byteCount: 5 << 30)
    #expect(ram.regions.map(\.start.rawValue) == [0, 1 << 32])
    #expect(ram.regions.map(\.byteCount) == [3 << 30, 2 << 30])
    #expect(!ram.contains(GuestPhysicalAddress(0xBFFF_FFFF), byteCount: 2))
    #expect(ram.contains(GuestPhysicalAddress(0x1_7FFF_FFFF), byteCount: 1))
    #expect(!ram.contains(GuestPhysicalAddress(UInt64.max), byteCount: 2))
  }

  @Test func `what was stored is loaded, across a page boundary too`() throws {
    let ram = try GuestRAM(byteCount: 1 << 20)
    try ram.store(UInt64(0x1122_3344_5566_7788), at: GuestPhysicalAddress(0xFFD))
    #expect(try ram.load(UInt64.self, at: GuestPhysicalAddress(0xFFD)) == 0x1122_3344_5566_7788)
    #expect(try ram.bytes(at: GuestPhysicalAddress(0xFFD), count: 2) == [0x88, 0x77])
  }

  @Test func `an access that is partly outside RAM changes nothing`() throws {
    let ram = try GuestRAM(byteCount: 1 << 20)
    #expect(throws: GuestMemoryError.self) {
      try ram.write([1, 2, 3, 4], at: GuestPhysicalAddress((1 << 20) - 2))
    }
    #expect(try ram.load(UInt16.self, at: GuestPhysicalAddress((1 << 20) - 2)) == 0)
  }
}
