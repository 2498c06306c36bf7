import HostSystem
import Testing
import X86

/// A host that has every feature there is, by vendor.
private func richHost(_ vendor: (UInt32, UInt32, UInt32)) -> HostCPUID {
  var entries = [CPUIDEntry(leaf: 0, eax: 0x1F, ebx: vendor.0, ecx: vendor.2, edx: vendor.1)]
  for leaf: UInt32 in [1, 6, 7, 0xD] + Array(0x8000_0000...0x8000_0008) + [0x8000_0021] {
    entries.append(CPUIDEntry(leaf: leaf, eax: .max, ebx: .max, ecx: .max, edx: .max))
  }
  entries.append(
    CPUIDEntry(leaf: 0xD, subleaf: 1, eax: .max, ebx: .max, ecx: .max, edx: .max))
  return HostCPUID(entries: entries)
}

private let amd = richHost((0x6874_7541, 0x6974_6E65, 0x444D_4163))
private let intel = richHost((0x756E_6547, 0x4965_6E69, 0x6C65_746E))
private let poor = HostCPUID(entries: [CPUIDEntry(leaf: 0), CPUIDEntry(leaf: 1)])

private let models = CPUIDModel.allCases

private func bit(_ word: UInt32?, _ number: UInt32) -> Bool { (word ?? 0) >> number & 1 != 0 }

@Suite struct CPUIDModelTests {
  @Test(arguments: models)
  func `no model offers what the engine lacks`(model: CPUIDModel) {
    for host in [amd, intel] {
      let table = model.table(host: host, cpuCount: 2, offersAVX: true)
      let one = table.entry(leaf: 1)
      let seven = table.entry(leaf: 7)
      let extended = table.entry(leaf: 0x8000_0001)
      // MONITOR, VMX, SMX, performance capabilities; debug store, ACPI clock control, self-snoop.
      for number: UInt32 in [3, 5, 6, 15] { #expect(!bit(one?.ecx, number)) }
      for number: UInt32 in [21, 22, 27, 29] { #expect(!bit(one?.edx, number)) }
      // HLE, RTM, AVX-512; protection keys, 57-bit addresses; SPEC_CTRL and its kin.
      for number: UInt32 in [4, 11, 16, 17, 21, 26, 27, 28, 30, 31] {
        #expect(!bit(seven?.ebx, number), "EBX \(number)")
      }
      for number: UInt32 in [3, 5, 7, 16] { #expect(!bit(seven?.ecx, number), "ECX \(number)") }
      for number: UInt32 in [26, 27, 29, 31] { #expect(!bit(seven?.edx, number), "EDX \(number)") }
      // SVM, SSE4A, IBS, XOP, LWP, FMA4; MONITORX.
      for number: UInt32 in [2, 6, 10, 11, 15, 16, 29] {
        #expect(!bit(extended?.ecx, number), "extended ECX \(number)")
      }
      // XSAVES.
      #expect(!bit(table.entry(leaf: 0xD, subleaf: 1)?.eax, 3))
    }
  }

  @Test(arguments: models)
  func `a host that has nothing is offered nothing of its own`(model: CPUIDModel) {
    let table = model.table(host: poor, cpuCount: 1, offersAVX: true)
    // What the machine brings: APIC; x2APIC, TSC deadline, hypervisor.
    #expect(table.entry(leaf: 1)?.edx == 1 << 9)
    #expect(table.entry(leaf: 1)?.ecx == 0x8120_0000)
    #expect(table.entry(leaf: 7)?.ebx == 0)
  }

  @Test(arguments: models)
  func `every model meets what Debian's kernels need`(model: CPUIDModel) {
    let table = model.table(host: amd, cpuCount: 1)
    let one = table.entry(leaf: 1)
    // FPU PSE TSC MSR PAE CX8 APIC SEP PGE CMOV FXSR SSE SSE2.
    for number: UInt32 in [0, 3, 4, 5, 6, 8, 9, 11, 13, 15, 24, 25, 26] {
      #expect(bit(one?.edx, number))
    }
    let isLong = bit(table.entry(leaf: 0x8000_0001)?.edx, 29)
    #expect(isLong == (model != .i686))
    #expect(bit(table.entry(leaf: 0x8000_0001)?.edx, 11) == isLong)
  }

  @Test func `without AVX in the engine there is neither AVX nor XSAVE`() {
    for model in models {
      let one = model.table(host: amd, cpuCount: 1).entry(leaf: 1)
      for number: UInt32 in [12, 26, 27, 28, 29] { #expect(!bit(one?.ecx, number)) }
    }
  }

  @Test func `AVX comes with its state component, on 64-bit models`() {
    for model in models {
      let table = model.table(host: intel, cpuCount: 1, offersAVX: true)
      let hasAVX = bit(table.entry(leaf: 1)?.ecx, 28)
      #expect(hasAVX == (model != .i686))
      let state = table.entry(leaf: 0xD, subleaf: 0)
      #expect(bit(state?.eax, 2) == hasAVX)
      if hasAVX {
        #expect(state?.ecx == 832)
        #expect(table.entry(leaf: 0xD, subleaf: 2)?.eax == 256)
        #expect(table.entry(leaf: 0xD, subleaf: 2)?.ebx == 576)
      }
    }
  }

  @Test(arguments: [1, 2, 3, 4, 7, 16, 17, 64, 128, 255])
  func `all leaves count the CPUs alike`(count: Int) {
    let number = UInt32(count)
    for model in models {
      for host in [amd, intel] {
        let table = model.table(host: host, cpuCount: count)
        let one = table.entry(leaf: 1)
        #expect((one?.ebx ?? 0) >> 16 & 0xFF == number)
        #expect(bit(one?.edx, 28) == (count > 1))
        let shift = table.entry(leaf: 0xB, subleaf: 1)?.eax ?? 0
        #expect(table.entry(leaf: 0xB, subleaf: 0)?.ecx == 0x100)
        #expect(table.entry(leaf: 0xB, subleaf: 0)?.ebx == 1)
        #expect(table.entry(leaf: 0xB, subleaf: 1)?.ebx == number)
        #expect(table.entry(leaf: 0xB, subleaf: 1)?.ecx == 0x201)
        #expect(table.entry(leaf: 0xB, subleaf: 2)?.ecx == 2)
        #expect(1 << shift >= number && (shift == 0 || 1 << (shift - 1) < number))
        let eight = table.entry(leaf: 0x8000_0008)
        let isAMD = table.entry(leaf: 0)?.ebx == 0x6874_7541
        if isAMD {
          #expect((eight?.ecx ?? 0) & 0xFF == number - 1)
          #expect((eight?.ecx ?? 0) >> 12 & 0xF == shift)
          #expect(bit(table.entry(leaf: 0x8000_0001)?.ecx, 1) == (count > 1))
        } else {
          #expect(eight?.ecx == 0)
          #expect((table.entry(leaf: 4)?.eax ?? 0) >> 26 == min(number, 64) - 1)
        }
      }
    }
  }

  @Test func `the 64-bit models have the engine's address sizes, i686 those of PAE`() {
    for model in models {
      let sizes = model.table(host: amd, cpuCount: 1).entry(leaf: 0x8000_0008)?.eax
      #expect(sizes == (model == .i686 ? 0x2024 : 0x302E))
    }
  }

  @Test func `time-stamp counter and APIC timer never stop`() {
    for model in models {
      let table = model.table(host: amd, cpuCount: 1)
      #expect(bit(table.entry(leaf: 0x8000_0007)?.edx, 8))
      #expect(bit(table.entry(leaf: 6)?.eax, 2))
    }
  }

  @Test func `an AMD model repeats its features, an Intel one does not`() {
    let one = CPUIDModel.conservative64.table(host: intel, cpuCount: 1)
    let shared: UInt32 = 0x0183_F3FF
    #expect(
      (one.entry(leaf: 0x8000_0001)?.edx ?? 0) & shared == (one.entry(leaf: 1)?.edx ?? 0) & shared)
    let other = CPUIDModel.i686.table(host: amd, cpuCount: 1)
    #expect((other.entry(leaf: 0x8000_0001)?.edx ?? 0) & 0x0183_F3FF == 0)
  }

  @Test func `a conservative model is the same on every host that has its features`() {
    for model in [CPUIDModel.conservative64, .i686] {
      #expect(model.table(host: amd, cpuCount: 4) == model.table(host: intel, cpuCount: 4))
    }
  }

  @Test func `the host's model keeps the host's name`() {
    let table = CPUIDModel.host.table(host: intel, cpuCount: 1)
    #expect(table.entry(leaf: 0)?.ebx == 0x756E_6547)
    #expect(table.signature == .max)
    #expect(table.entry(leaf: 0x8000_0002)?.eax == .max)
  }

  @Test func `no leaf is there twice, and the limits cover all`() {
    for model in models {
      let table = model.table(host: amd, cpuCount: 2, offersAVX: true)
      var seen: Set<[UInt32]> = []
      for entry in table.entries {
        #expect(seen.insert([entry.leaf, entry.isIndexed ? entry.subleaf : .max]).inserted)
        let limit = table.entry(leaf: entry.leaf & 0x8000_0000)?.eax ?? 0
        #expect(entry.leaf <= limit)
      }
    }
  }

  @Test func `this host's own leaves make a table of every model`() {
    let host = HostCPUID(
      entries: HostCPU.readCPUID().map {
        CPUIDEntry(
          leaf: $0.leaf, subleaf: $0.subleaf, eax: $0.eax, ebx: $0.ebx, ecx: $0.ecx, edx: $0.edx)
      })
    #expect(host.entry(leaf: 0).ebx != 0)
    for model in models {
      let table = model.table(host: host, cpuCount: 1)
      // Every x86-64 host has SSE2, and so has every model.
      #expect(bit(table.entry(leaf: 1)?.edx, 26))
    }
  }
}
