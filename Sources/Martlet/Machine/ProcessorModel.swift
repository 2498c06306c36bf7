import X86

/// What the guest is told about its processor, and the hypervisor it may talk to.
struct ProcessorModel: Sendable {
  var cpuid: CPUIDTable
  /// MSRs that the engine hands to `hypervisor`.
  var delegatedMSRs: [ClosedRange<UInt32>]
  var hypervisor: any HypervisorCalls

  static func select(_ configuration: VirtualMachineConfiguration) throws -> ProcessorModel {
    ProcessorModel(
      cpuid: temporaryTable(configuration.cpuCount), delegatedMSRs: [], hypervisor: NoHypervisorCalls())
  }
}

private func temporaryTable(_ cpuCount: Int) -> CPUIDTable {
  func words(_ text: String) -> [UInt32] {
    let bytes = Array(text.utf8)
    var out: [UInt32] = []
    var i = 0
    while i + 3 < bytes.count {
      let low = UInt32(bytes[i]) | UInt32(bytes[i + 1]) << 8
      let high = UInt32(bytes[i + 2]) << 16 | UInt32(bytes[i + 3]) << 24
      out.append(low | high)
      i += 4
    }
    return out
  }
  let v = words("AuthenticAMD")
  let b = words("Martlet Virtual CPU".padding(48))
  let smp: UInt32 = cpuCount > 1 ? 1 << 28 : 0
  let e1b: UInt32 = 0x0800 | UInt32(cpuCount) << 16
  let e1d: UInt32 = 0x078B_FBFD | smp
  let e8c: UInt32 = cpuCount > 1 ? 0x103 : 0x101
  var t = CPUIDTable(entries: [])
  t.set(CPUIDEntry(leaf: 0x0, eax: 0xd, ebx: v[0], ecx: v[2], edx: v[1]))
  t.set(CPUIDEntry(leaf: 0x1, eax: 0x800f12, ebx: e1b, ecx: 0xc1a02001, edx: e1d))
  t.set(CPUIDEntry(leaf: 0x6, eax: 0x4))
  t.set(CPUIDEntry(leaf: 0x7, isIndexed: true, ebx: 0x140681, ecx: 0x4, edx: 0x0))
  t.set(CPUIDEntry(leaf: 0x40000000, eax: 0x40000010, ebx: 0x4b4d564b, ecx: 0x564b4d56, edx: 0x4d))
  t.set(CPUIDEntry(leaf: 0x40000001, eax: 0x2))
  t.set(CPUIDEntry(leaf: 0x40000010, eax: 0xf4240, ebx: 0xf4240))
  t.set(CPUIDEntry(leaf: 0x80000000, eax: 0x80000021, ebx: v[0], ecx: v[2], edx: v[1]))
  t.set(CPUIDEntry(leaf: 0x80000001, eax: 0x800f12, ecx: e8c, edx: 0x2d93fbfd))
  t.set(CPUIDEntry(leaf: 0x80000002, eax: b[0], ebx: b[1], ecx: b[2], edx: b[3]))
  t.set(CPUIDEntry(leaf: 0x80000003, eax: b[4], ebx: b[5], ecx: b[6], edx: b[7]))
  t.set(CPUIDEntry(leaf: 0x80000004, eax: b[8], ebx: b[9], ecx: b[10], edx: b[11]))
  t.set(CPUIDEntry(leaf: 0x80000005, eax: 0x1ff01ff, ebx: 0x1ff01ff, ecx: 0x40020140, edx: 0x40020140))
  t.set(CPUIDEntry(leaf: 0x80000006, eax: 0x0, ebx: 0x42004200, ecx: 0x2008140, edx: 0x0))
  t.set(CPUIDEntry(leaf: 0x80000007, edx: 0x100))
  t.set(CPUIDEntry(leaf: 0x80000008, eax: 0x302e, ecx: UInt32(cpuCount - 1)))
  t.set(CPUIDEntry(leaf: 0x80000021, eax: 0x2000_0100))
  return t
}
extension String {
  fileprivate func padding(_ n: Int) -> String { self + String(repeating: "\0", count: n - utf8.count) }
}
