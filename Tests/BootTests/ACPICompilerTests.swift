import FirmwareTables
import Foundation
import MartletTesting
import Testing

/// A program that checks our tables from outside, run in a folder of its own.
struct ExternalTool {
  let path: String
  let folder: URL

  static func isMissing(_ path: String) -> Bool {
    !FileManager.default.isExecutableFile(atPath: path)
  }

  init(_ path: String) throws {
    self.path = path
    folder = FileManager.default.temporaryDirectory.appending(
      path: "martlet-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  func remove() { try? FileManager.default.removeItem(at: folder) }

  func write(_ bytes: [UInt8], to name: String) throws {
    try Data(bytes).write(to: folder.appending(path: name))
  }

  func text(of name: String) throws -> String {
    try String(contentsOf: folder.appending(path: name), encoding: .utf8)
  }

  /// Returns the exit status and what it printed.
  func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(filePath: path)
    process.arguments = arguments
    process.currentDirectoryURL = folder
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    return (process.waitUntilEnded(), String(decoding: data, as: UTF8.self))
  }
}

@Suite(.disabled(if: ExternalTool.isMissing("/usr/bin/iasl"), "needs Debian's acpica-tools"))
struct ACPICompilerTests {
  private static let everything = PlatformDescription(
    cpuCount: 300, serialPorts: [.com1, .com2, .com3, .com4], hasHPET: true,
    pciRoot: PCIRootDescription(
      configurationSpace: 0xE000_0000..<0xF000_0000, ports: 0xC000...0xFFFF,
      memory: 0xC000_0000...0xDFFF_FFFF, highMemory: 0x1_0000_0000...0xF_FFFF_FFFF,
      firstInterrupt: 16),
    systemBusObjects: [
      .scope("\\_SB", [.device("XTRA", [.name("_HID", .eisaID("PNP0A08"))])]),
      .constantMethod("MTHD", argumentCount: 2, returns: .string("text")),
      .name("NUMB", .package([.integer(0xFF), .integer(0x1_0000), .integer(1 << 40)])),
      .name("LONG", .buffer([UInt8](repeating: 0x5A, count: 5000))),
      .device(
        "VR01",
        [
          .name("_HID", .string("LNRO0005")), .name("_UID", .integer(1)),
          .name(
            "_CRS",
            .resources([
              .memory(first: 0xFEB0_1000, count: 0x1000, isWritable: true), .sharedInterrupt(17),
            ])),
        ]),
    ])

  @Test(arguments: [PlatformDescription(cpuCount: 1), everything])
  func `the ACPI compiler disassembles and recompiles the DSDT`(
    platform: PlatformDescription
  ) throws {
    let reader = try ACPIReader(platform)
    let dsdt = try reader.table(at: reader.table("FACP").integer(UInt64.self, at: 140))
    let tool = try ExternalTool("/usr/bin/iasl")
    defer { tool.remove() }
    try tool.write(dsdt.bytes, to: "dsdt.aml")
    let disassembly = try tool.run(["-d", "dsdt.aml"])
    #expect(disassembly.status == 0, "\(disassembly.output)")
    #expect(!disassembly.output.contains("Error"), "\(disassembly.output)")
    let source = try tool.text(of: "dsdt.dsl")
    #expect(source.contains("_S5, Package (0x04)"))
    #expect(source.contains("EisaId (\"PNP0501\")"))
    #expect(source.contains("\"ACPI0007\""))
    #expect(source.contains("IRQNoFlags"))
    if platform.pciRoot != nil {
      for words in ["QWordMemory", "0x0000000FFFFFFFFF", "DWordMemory", "0x00FF,"] {
        #expect(source.contains(words))
      }
    }
    let compilation = try tool.run(["-p", "again", "dsdt.dsl"])
    #expect(compilation.status == 0, "\(compilation.output)")
    #expect(compilation.output.contains(" 0 Errors"), "\(compilation.output)")
    #expect(compilation.output.contains(" 0 Warnings"), "\(compilation.output)")
  }

  @Test(arguments: ["FACP", "APIC", "HPET", "MCFG"])
  func `the ACPI compiler reads the data tables`(signature: String) throws {
    let table = try ACPIReader(Self.everything).table(signature)
    let tool = try ExternalTool("/usr/bin/iasl")
    defer { tool.remove() }
    try tool.write(table.bytes, to: "table.dat")
    let disassembly = try tool.run(["-d", "table.dat"])
    #expect(disassembly.status == 0, "\(disassembly.output)")
    let source = try tool.text(of: "table.dsl")
    #expect(source.contains("Signature : \"\(signature)\""))
    for complaint in ["Invalid", "Unknown", "Incorrect", "**** "] {
      #expect(!source.contains(complaint), "\(complaint) in \(source)")
    }
  }
}
