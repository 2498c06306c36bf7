import MachineTypes

/// Where a loader puts what the kernel finds in base memory.
///
///     0x0_0000  real-mode vectors and BIOS data area: left alone
///     0x0_1000  GDT; from 0x80 on an empty task-state segment
///     0x0_2000  hvm_start_info, module list and memory map (PVH)
///     0x0_6000  boot stack, growing down from 0x7000
///     0x0_7000  struct boot_params, the "zero page"
///     0x0_8000  page tables: PML4, then as many others as needed (64-bit entry)
///     0x2_0000  command line, 64 KiB
///     0x3_0000  setup_data nodes
///     0x9_0000  end of what loaders use
///     0x9_FC00  EBDA and firmware: see FirmwareLayout in FirmwareTables
///    0x10_0000  kernels, from here up; the initial RAM disk as high as it may lie
///
/// All of it is usable RAM in the memory map: kernels copy what they need and then take it over.
enum BootLayout {
  static let globalDescriptorTable: UInt64 = 0x1000
  static let taskStateSegment: UInt64 = 0x1080
  static let startInfo: UInt64 = 0x2000
  static let startInfoEnd: UInt64 = 0x6000
  static let stackTop: UInt64 = 0x7000
  static let zeroPage: UInt64 = 0x7000
  static let pageTables: UInt64 = 0x8000
  static let pageTablesEnd: UInt64 = 0x2_0000
  static let commandLine: UInt64 = 0x2_0000
  static let commandLineEnd: UInt64 = 0x3_0000
  static let setupData: UInt64 = 0x3_0000
  static let end: UInt64 = 0x9_0000
  /// No kernel is loaded below this.
  static let lowestKernel: UInt64 = 0x10_0000
  static let fourGiB: UInt64 = 0x1_0000_0000
}
