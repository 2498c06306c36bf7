import MachineTypes
import X86

extension CPUEnvironment {
  /// What CPUID answers here and now: the model's table, with the CPU's ids and state filled in.
  func identify(leaf: UInt32, subleaf: UInt32, _ cpu: CPU) -> CPUIDEntry {
    var entry = lookUp(leaf, subleaf)
    let id = index.rawValue
    switch leaf {
    case 1:
      entry.ebx = entry.ebx & 0x00FF_FFFF | (id & 0xFF) << 24
      let osXSAVE = cpu.state.cr4 & CR4.osXSAVE.rawValue != 0
      entry.ecx = entry.ecx & ~(1 << 27) | (osXSAVE ? 1 << 27 : 0)
      // The APIC bit follows IA32_APIC_BASE.
      if !apic.isEnabled { entry.edx &= ~(1 << 9) }
    case 0xB, 0x1F: if entry.isIndexed || entry.ecx != 0 { entry.edx = id }
    case 0xD:
      if subleaf == 0 { entry.ebx = UInt32(cpu.extendedStateSize(cpu.state.xcr0)) }
      if subleaf == 1, entry.eax & 2 != 0 {
        entry.ebx = UInt32(cpu.extendedStateSize(cpu.state.xcr0))
      }
    case 0x8000_001E:
      entry.eax = id
      entry.ebx = entry.ebx & ~0xFF | id & 0xFF
    default: break
    }
    return entry
  }

  /// A leaf beyond the last basic one answers like the last (SDM 2A CPUID); Linux expects zeroes of an AMD
  /// model, which is what beyond-the-end means there.
  private func lookUp(_ leaf: UInt32, _ subleaf: UInt32) -> CPUIDEntry {
    cpuid.entry(leaf: leaf, subleaf: subleaf) ?? CPUIDEntry(leaf: leaf, subleaf: subleaf)
  }
}
