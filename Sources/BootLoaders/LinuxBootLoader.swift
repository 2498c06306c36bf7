public import FirmwareTables
public import GuestMemory
import MachineTypes

/// Boots a kernel directly, without firmware: a Linux bzImage, an ELF `vmlinux`, or any ELF kernel
/// with a PVH entry.
public enum LinuxBootLoader {
  /// Places the kernel, what it needs and the firmware's tables in `memory`.
  ///
  /// Nothing in the files is trusted. On an error memory may have been written, the machine must not
  /// be started.
  ///
  /// - Parameters:
  ///   - kernel: the whole file.
  ///   - initialRAMDisk: the whole file; an empty one counts as none.
  ///   - commandLine: passed on byte by byte.
  ///   - signature: CPUID.1:EAX of the first processor.
  /// - Returns: the state to start the first processor in, and what was placed where.
  public static func load(
    kernel: [UInt8], initialRAMDisk: [UInt8]? = nil, commandLine: String,
    options: BootOptions = BootOptions(), memory: GuestRAM, firmware: FirmwareImage,
    signature: UInt32
  ) throws(BootError) -> LoadedGuest {
    var context = BootContext(
      kernel: ByteReader(bytes: kernel), initialRAMDisk: initialRAMDisk ?? [],
      commandLine: Array(commandLine.utf8), options: options, firmware: firmware,
      signature: signature, plan: MemoryPlan(memory: memory, map: firmware.memoryMap))
    for piece in firmware.pieces {
      try context.plan.write(piece.name, piece.bytes, at: piece.address.rawValue)
    }
    switch BootImage.identify(kernel) {
    case .bzImage: return try BzImageLoader.load(context)
    case .elf, .pvh: return try ELFLoader.load(context)
    case let other: throw .foreign(other)
    }
  }
}
