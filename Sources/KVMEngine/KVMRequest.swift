internal import CHost

/// One ioctl of KVM: its name, its code and the type of its argument (`linux/kvm.h`).
struct KVMRequest<Argument>: Sendable {
  let name: String
  let code: UInt

  /// `_IO(0xAE, number)`: the argument is a number or nothing.
  static func plain(_ name: String, _ number: UInt) -> Self {
    Self(name: name, code: 0xAE << 8 | number)
  }

  /// `_IOW(0xAE, number, Argument)`: the kernel reads the argument.
  static func write(_ name: String, _ number: UInt) -> Self { sized(name, number, direction: 1) }

  /// `_IOR(0xAE, number, Argument)`: the kernel fills the argument.
  static func read(_ name: String, _ number: UInt) -> Self { sized(name, number, direction: 2) }

  /// `_IOWR(0xAE, number, Argument)`.
  static func exchange(_ name: String, _ number: UInt) -> Self {
    sized(name, number, direction: 3)
  }

  private static func sized(_ name: String, _ number: UInt, direction: UInt) -> Self {
    let size = UInt(MemoryLayout<Argument>.size)
    return Self(name: name, code: direction << 30 | size << 16 | 0xAE << 8 | number)
  }
}

// swift-format-ignore
extension KVMRequest<UInt> {
  static let getAPIVersion = Self.plain("KVM_GET_API_VERSION", 0x00)
  static let createVM = Self.plain("KVM_CREATE_VM", 0x01)
  static let checkExtension = Self.plain("KVM_CHECK_EXTENSION", 0x03)
  static let getVCPUMapSize = Self.plain("KVM_GET_VCPU_MMAP_SIZE", 0x04)
  static let createVCPU = Self.plain("KVM_CREATE_VCPU", 0x41)
  static let setTSSAddress = Self.plain("KVM_SET_TSS_ADDR", 0x47)
  static let run = Self.plain("KVM_RUN", 0x80)
}

// swift-format-ignore
extension KVMRequest<kvm_userspace_memory_region> {
  static let setUserMemoryRegion = Self.write("KVM_SET_USER_MEMORY_REGION", 0x46)
}

// swift-format-ignore
extension KVMRequest<UInt64> {
  static let setIdentityMapAddress = Self.write("KVM_SET_IDENTITY_MAP_ADDR", 0x48)
}

// swift-format-ignore
extension KVMRequest<kvm_enable_cap> {
  static let enableCapability = Self.write("KVM_ENABLE_CAP", 0xA3)
}

// swift-format-ignore
extension KVMRequest<kvm_msi> {
  static let signalMSI = Self.write("KVM_SIGNAL_MSI", 0xA5)
}

// swift-format-ignore
extension KVMRequest<UInt> {
  static let nonMaskableInterrupt = Self.plain("KVM_NMI", 0x9A)
  static let getTSCKilohertz = Self.plain("KVM_GET_TSC_KHZ", 0xA3)
}

// swift-format-ignore
extension KVMRequest<kvm_regs> {
  static let getRegisters = Self.read("KVM_GET_REGS", 0x81)
  static let setRegisters = Self.write("KVM_SET_REGS", 0x82)
}

// swift-format-ignore
extension KVMRequest<kvm_sregs> {
  static let getSystemRegisters = Self.read("KVM_GET_SREGS", 0x83)
  static let setSystemRegisters = Self.write("KVM_SET_SREGS", 0x84)
}

// swift-format-ignore
extension KVMRequest<kvm_interrupt> {
  static let interrupt = Self.write("KVM_INTERRUPT", 0x86)
}

// swift-format-ignore
extension KVMRequest<kvm_lapic_state> {
  static let getLocalAPIC = Self.read("KVM_GET_LAPIC", 0x8E)
  static let setLocalAPIC = Self.write("KVM_SET_LAPIC", 0x8F)
}

// swift-format-ignore
extension KVMRequest<kvm_mp_state> {
  static let getActivity = Self.read("KVM_GET_MP_STATE", 0x98)
  static let setActivity = Self.write("KVM_SET_MP_STATE", 0x99)
}

// swift-format-ignore
extension KVMRequest<kvm_vcpu_events> {
  static let getEvents = Self.read("KVM_GET_VCPU_EVENTS", 0x9F)
  static let setEvents = Self.write("KVM_SET_VCPU_EVENTS", 0xA0)
}

// swift-format-ignore
extension KVMRequest<kvm_debugregs> {
  static let getDebugRegisters = Self.read("KVM_GET_DEBUGREGS", 0xA1)
  static let setDebugRegisters = Self.write("KVM_SET_DEBUGREGS", 0xA2)
}

// swift-format-ignore
extension KVMRequest<kvm_xsave> {
  static let getExtendedState = Self.read("KVM_GET_XSAVE", 0xA4)
  static let setExtendedState = Self.write("KVM_SET_XSAVE", 0xA5)
}

// swift-format-ignore
extension KVMRequest<kvm_xcrs> {
  static let getExtendedControl = Self.read("KVM_GET_XCRS", 0xA6)
  static let setExtendedControl = Self.write("KVM_SET_XCRS", 0xA7)
}

/// Requests whose argument ends in an array: the code has the size of the head alone, 8 bytes.
// swift-format-ignore
extension KVMRequest<KVMList> {
  static let getMSRIndexList = Self.exchange("KVM_GET_MSR_INDEX_LIST", 0x02, headSize: 4)
  static let getSupportedCPUID = Self.exchange("KVM_GET_SUPPORTED_CPUID", 0x05)
  static let setInterruptRouting = Self.write("KVM_SET_GSI_ROUTING", 0x6A)
  static let getMSRs = Self.exchange("KVM_GET_MSRS", 0x88)
  static let setMSRs = Self.write("KVM_SET_MSRS", 0x89)
  static let setCPUID = Self.write("KVM_SET_CPUID2", 0x90)

  private static func exchange(_ name: String, _ number: UInt, headSize: UInt) -> Self {
    Self(name: name, code: 3 << 30 | headSize << 16 | 0xAE << 8 | number)
  }
}
