import BootLoaders
import FirmwareTables
import GuestMemory
import MachineTypes

/// Loads into a machine made for it, and returns the guest with its memory.
func load(
  _ kernel: [UInt8], initialRAMDisk: [UInt8]? = nil, commandLine: String = "console=ttyS0",
  options: BootOptions = BootOptions(), memory size: UInt64 = 64.mebibytes,
  memoryMapEntryCount: Int? = nil
) throws -> (LoadedGuest, GuestRAM) {
  let (memory, standard) = try machine(memory: size)
  var firmware = standard
  if let count = memoryMapEntryCount {
    firmware.memoryMap.entries += repeatElement(
      MemoryMap.Entry(start: GuestPhysicalAddress(1 << 40), byteCount: 1, kind: .reserved),
      count: count - firmware.memoryMap.entries.count)
  }
  let guest = try LinuxBootLoader.load(
    kernel: kernel, initialRAMDisk: initialRAMDisk, commandLine: commandLine, options: options,
    memory: memory, firmware: firmware, signature: 0x306C3)
  return (guest, memory)
}

extension BootOptions {
  static func at(_ address: UInt64, _ entry: BootEntry? = nil) -> BootOptions {
    BootOptions(kernelAddress: GuestPhysicalAddress(address), entry: entry)
  }
}

extension LoadedGuest {
  func placement(_ name: String) -> Placement? { placements.first { $0.name == name } }
}
