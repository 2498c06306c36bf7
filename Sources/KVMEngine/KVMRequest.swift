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
