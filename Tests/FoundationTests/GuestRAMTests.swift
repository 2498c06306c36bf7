import Glibc
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

  @Test(arguments: [
    (UInt64(4096), UInt64(8192)), (5000, 20_000), (5000, 100), (0, 1 << 22), (1 << 22, 0),
  ])
  func `what is discarded reads as zeroes, and its neighbours stay`(
    start: UInt64, count: UInt64
  ) throws {
    let ram = try GuestRAM(byteCount: 1 << 22)
    let address = GuestPhysicalAddress(0)
    try ram.write([UInt8](repeating: 0xA5, count: 1 << 22), at: address)
    try ram.discard(GuestRange(start: GuestPhysicalAddress(start), byteCount: count))
    let expected = (0..<UInt64(1 << 22)).map { UInt8($0 >= start && $0 < start + count ? 0 : 0xA5) }
    #expect(try ram.bytes(at: address, count: 1 << 22) == expected)
  }

  @Test func `discarded pages take no memory of the host's`() throws {
    let ram = try GuestRAM(byteCount: 64 << 20)
    let all = GuestRange(start: GuestPhysicalAddress(0), byteCount: 64 << 20)
    try ram.write([UInt8](repeating: 1, count: 64 << 20), at: all.start)
    let before = ram.residentByteCount
    try ram.discard(all)
    #expect(before >= 64 << 20)
    #expect(ram.residentByteCount == 0)
    #expect(throws: GuestMemoryError.self) {
      try ram.discard(GuestRange(start: GuestPhysicalAddress(64 << 20), byteCount: 4096))
    }
  }
}

extension GuestRAM {
  /// What the host has in memory of it.
  fileprivate var residentByteCount: Int {
    var pages = [UInt8](repeating: 0, count: Int(byteCount / 4096))
    let start = hostAddress(of: GuestPhysicalAddress(0), byteCount: byteCount)
    guard mincore(start!, Int(byteCount), &pages) == 0 else { return -1 }
    return pages.reduce(0) { $0 + Int($1 & 1) * 4096 }
  }
}
