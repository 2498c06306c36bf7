import Testing
import X86

@testable import SoftwareEngine

/// Hosts of every feature, so that models are whole.
private let host = HostCPUID(
  entries: [CPUIDEntry(leaf: 0, ebx: 0x6874_7541, ecx: 0x444D_4163, edx: 0x6974_6E65)]
    + ([1, 7] + Array(0x8000_0001...0x8000_0008)).map {
      CPUIDEntry(leaf: $0, eax: .max, ebx: .max, ecx: .max, edx: .max)
    })

private func registers(_ model: CPUIDModel) -> ModelRegisters {
  ModelRegisters(model.table(host: host, cpuCount: 1))
}

@Suite struct ModelRegistersTests {
  /// What Linux 6.1 reads without a fault handler, on AMD's model and on Intel's.
  private static let readByLinux: [(CPUIDModel, [UInt32])] = [
    (
      .conservative64,
      [
        0x8B, 0xFE, 0x179, 0x17A, 0x277, 0x2FF, 0x250, 0x258, 0x259, 0x268, 0x26F, 0x200, 0x20F,
        0xC001_0010, 0xC001_0015, 0xC001_001A, 0xC001_001D, 0xC001_001F, 0xC001_0055,
        0xC001_0058, 0xC001_1029,
      ]
    ),
    (.i686, [0x17, 0x8B, 0xFE, 0x179, 0x17A, 0x1A0, 0x277, 0x2FF, 0x250, 0x26F, 0x200, 0x20F]),
  ]

  @Test(arguments: readByLinux)
  func `all that Linux reads unguarded is there`(model: CPUIDModel, indices: [UInt32]) {
    let registers = registers(model)
    for index in indices {
      #expect(registers.read(index) != nil, "MSR \(String(index, radix: 16))")
    }
  }

  @Test func `a register of no model faults`() {
    for model in CPUIDModel.allCases {
      var registers = registers(model)
      for index: UInt32 in [0, 0xC8F, 0x1_0000, 0xC000_0FFF, 0xFFFF_FFFF] {
        #expect(registers.read(index) == nil)
        #expect(registers.write(index, 0) == false)
      }
    }
  }

  @Test func `AMD's counts its time-stamp counter at P0 frequency`() {
    #expect((registers(.conservative64).read(0xC001_0015) ?? 0) >> 24 & 1 == 1)
  }

  @Test func `Intel's microcode is none that Linux warns of`() {
    // arch/x86/kernel/cpu/intel.c: the PSE erratum of Atom is of steppings up to 2.
    let signature = CPUIDModel.i686.table(host: host, cpuCount: 1).signature
    #expect(signature & 0xF > 2)
  }

  @Test func `the page attribute table takes memory types only`() {
    var registers = registers(.conservative64)
    #expect(registers.read(0x277) == 0x0007_0406_0007_0406)
    #expect(registers.write(0x277, 0x0407_0105_0407_0106) == true)
    #expect(registers.read(0x277) == 0x0407_0105_0407_0106)
    for type: UInt64 in [2, 3, 8, 0x80] { #expect(registers.write(0x277, type) == false) }
    #expect(registers.read(0x277) == 0x0407_0105_0407_0106)
  }

  @Test func `memory type ranges are as firmware leaves them`() {
    let registers = registers(.conservative64)
    // Eight variable ranges, fixed ranges, write combining; enabled, write-back by default.
    #expect(registers.read(0xFE) == 0x508)
    #expect(registers.read(0x2FF) == 0xC06)
    // The legacy video window is not cached.
    #expect(registers.read(0x259) == 0)
    #expect(registers.read(0x250) == 0x0606_0606_0606_0606)
  }

  @Test func `memory type ranges refuse reserved bits and types`() {
    var registers = registers(.conservative64)
    #expect(registers.write(0xFE, 0x508) == false)
    #expect(registers.write(0x2FF, 0x1000) == false)
    #expect(registers.write(0x2FF, 0xC02) == false)
    #expect(registers.write(0x250, 7) == false)
    #expect(registers.write(0x200, 1 << 46) == false)
    #expect(registers.write(0x200, 2) == false)
    #expect(registers.write(0x201, 0x400) == false)
    #expect(registers.write(0x200, 0xC000_0000) == true)
    #expect(registers.write(0x201, 0x3FFF_C000_0800) == true)
  }

  @Test func `what a guest wrote is saved and restored`() {
    var registers = registers(.conservative64)
    #expect(registers.write(0x277, 0x0606_0606_0606_0606) == true)
    #expect(registers.write(0xC001_0010, 1 << 20) == true)
    var other = ModelRegisters(CPUIDModel.conservative64.table(host: host, cpuCount: 1))
    for register in registers.all {
      #expect(other.restore(register.index.rawValue, register.value) == true)
    }
    #expect(other.all == registers.all)
    #expect(registers.all.map(\.index.rawValue) == registers.all.map(\.index.rawValue).sorted())
  }

  @Test func `a constant is restored only as itself`() {
    var registers = registers(.conservative64)
    #expect(registers.restore(0xFE, 0x508) == true)
    #expect(registers.restore(0xFE, 0x509) == false)
    #expect(registers.restore(0xDEAD_BEEF, 0) == false)
  }
}
