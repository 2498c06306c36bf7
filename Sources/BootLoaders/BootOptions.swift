public import MachineTypes

/// How a kernel is entered.
public enum BootEntry: Hashable, Sendable, CaseIterable {
  /// The 32-bit boot protocol: flat protected mode, ESI holds the zero page.
  case linux32
  /// The 64-bit boot protocol: long mode, RSI holds the zero page.
  case linux64
  /// PVH: flat protected mode, EBX holds `hvm_start_info`.
  case pvh

  public var name: String {
    switch self {
    case .linux32: "32-bit Linux"
    case .linux64: "64-bit Linux"
    case .pvh: "PVH"
    }
  }
}

/// What the caller may decide about a boot.
public struct BootOptions: Hashable, Sendable {
  /// Where to load the kernel; `nil` for where it prefers to be.
  ///
  /// A relocatable bzImage may lie at any multiple of its alignment from 1 MiB on. Where its address is
  /// below `pref_address` its decompressor moves it up to that, as the boot protocol says; it then
  /// runs at `LoadedGuest.kernelRange`. A kernel that randomises its address (without `nokaslr`) moves
  /// on from there by itself.
  public var kernelAddress: GuestPhysicalAddress?
  /// The entry to use; `nil` for the best that the kernel offers: 64-bit before 32-bit for a bzImage,
  /// PVH before Linux for ELF. A machine without long mode must ask for `.linux32`.
  public var entry: BootEntry?
  /// Nodes for `boot_params.setup_data`, in this order. PVH has no place for them and ignores them.
  public var setupData: [SetupDataNode]

  public init(
    kernelAddress: GuestPhysicalAddress? = nil, entry: BootEntry? = nil,
    setupData: [SetupDataNode] = []
  ) {
    self.kernelAddress = kernelAddress
    self.entry = entry
    self.setupData = setupData
  }
}

/// One `struct setup_data` (Documentation/arch/x86/boot.rst, kernel_info and setup_data).
public struct SetupDataNode: Hashable, Sendable {
  /// SETUP_… of arch/x86/include/uapi/asm/setup_data.h.
  public var type: UInt32
  public var bytes: [UInt8]

  public init(type: UInt32, bytes: [UInt8]) {
    self.type = type
    self.bytes = bytes
  }

  /// SETUP_RNG_SEED: entropy for the kernel's random generator, which it wipes after use.
  public static func randomSeed(_ bytes: [UInt8]) -> SetupDataNode {
    SetupDataNode(type: 9, bytes: bytes)
  }
}
