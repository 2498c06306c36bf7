import FirmwareTables
import Foundation
import GuestMemory
import MachineTypes
import Testing

struct SMBIOSTests {
  private struct Structure {
    var type: UInt8
    var body: [UInt8]
    var strings: [String]
  }

  private static let base: UInt64 = 0xF_0000

  private func memory(
    cpuCount: Int = 2, low: UInt64 = 64.mebibytes, identifier: [UInt8]? = nil
  ) throws -> [UInt8] {
    var platform = PlatformDescription(cpuCount: cpuCount)
    if let identifier { platform.identifier = identifier }
    let ram = try GuestRAM(byteCount: low)
    try FirmwareImage(platform: platform, memory: ram).write(to: ram)
    return try ram.bytes(at: GuestPhysicalAddress(Self.base), count: 0x1_0000)
  }

  private func integer(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> Int {
    (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
  }

  private func structures(in table: ArraySlice<UInt8>) -> [Structure] {
    var found: [Structure] = []
    var rest = table
    while rest.count >= 4 {
      let length = Int(rest[rest.startIndex + 1])
      let body = Array(rest.prefix(length))
      rest = rest.dropFirst(length)
      var strings: [String] = []
      while let end = rest.firstIndex(of: 0), end > rest.startIndex {
        strings.append(String(decoding: rest[..<end], as: UTF8.self))
        rest = rest[(end + 1)...]
      }
      rest = rest.dropFirst(strings.isEmpty ? 2 : 1)
      found.append(Structure(type: body[0], body: body, strings: strings))
    }
    return found
  }

  @Test func `both entry points have correct sums and lead to the same structures`() throws {
    let bytes = try memory()
    #expect(Array(bytes[0..<4]) == Array("_SM_".utf8))
    #expect(bytes[0..<0x1F].reduce(0, &+) == 0)
    #expect(Array(bytes[0x10..<0x15]) == Array("_DMI_".utf8))
    #expect(bytes[0x10..<0x1F].reduce(0, &+) == 0)
    #expect(Array(bytes[0x20..<0x25]) == Array("_SM3_".utf8))
    #expect(bytes[0x20..<0x38].reduce(0, &+) == 0)
    let length = integer(bytes, 0x16, 2)
    #expect(integer(bytes, 0x18, 4) == integer(bytes, 0x20 + 0x10, 8))
    #expect(length == integer(bytes, 0x20 + 0x0C, 4))
    let offset = integer(bytes, 0x18, 4) - Int(Self.base)
    let found = structures(in: bytes[offset..<offset + length])
    #expect(found.map(\.type) == [0, 1, 3, 4, 16, 17, 19, 32, 127])
    #expect(found.count == integer(bytes, 0x1C, 2))
    let handles = found.map { integer($0.body, 2, 2) }
    #expect(Set(handles).count == handles.count)
  }

  @Test func `the structures have the lengths of their versions`() throws {
    let bytes = try memory()
    let offset = integer(bytes, 0x18, 4) - Int(Self.base)
    let found = structures(in: bytes[offset..<offset + integer(bytes, 0x16, 2)])
    #expect(
      found.map(\.body.count) == [0x18, 0x1B, 0x16, 0x30, 0x17, 0x28, 0x1F, 0x0B, 0x04])
  }

  @Test func `the machine's identifier is in SMBIOS byte order`() throws {
    let bytes = try memory(identifier: (0..<16).map { $0 })
    let offset = integer(bytes, 0x18, 4) - Int(Self.base)
    let found = structures(in: bytes[offset..<offset + integer(bytes, 0x16, 2)])
    let system = try #require(found.first { $0.type == 1 })
    let expected: [UInt8] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
    #expect(Array(system.body[8..<24]) == expected)
    #expect(system.strings.first == "Martlet")
  }

  @Test(
    .disabled(if: ExternalTool.isMissing("/usr/sbin/dmidecode"), "needs Debian's dmidecode"))
  func `dmidecode reads the structures without a complaint`() throws {
    let bytes = try memory(cpuCount: 4, low: 512.mebibytes)
    // The form of dmidecode's dumps: the entry point, its table address 0x20, then the table.
    var entry = Array(bytes[0x20..<0x38])
    let offset = integer(entry, 0x10, 8) - Int(Self.base)
    entry.replaceSubrange(0x10..<0x18, with: [0x20, 0, 0, 0, 0, 0, 0, 0])
    entry[5] = 0
    entry[5] = 0 &- entry.reduce(0, &+)
    let table = bytes[offset..<offset + integer(bytes, 0x2C, 4)]
    let tool = try ExternalTool("/usr/sbin/dmidecode")
    defer { tool.remove() }
    try tool.write(entry + [UInt8](repeating: 0, count: 8) + table, to: "dump")
    let (status, output) = try tool.run(["--from-dump", "dump"])
    #expect(status == 0, "\(output)")
    for line in [
      "SMBIOS 3.0.0 present", "Manufacturer: Martlet", "Core Count: 4", "Size: 512 MB",
      "Range Size: 512 MB", "End Of Table",
    ] { #expect(output.contains(line), "\(line) in \(output)") }
    for complaint in ["WRONG", "TRUNCATED", "<OUT OF SPEC>", "<BAD INDEX>", "broken", "invalid"] {
      #expect(!output.contains(complaint), "\(complaint) in \(output)")
    }
  }
}
