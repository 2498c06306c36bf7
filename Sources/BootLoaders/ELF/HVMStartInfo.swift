import FirmwareTables
import MachineTypes

/// `struct hvm_start_info` version 1 with its module list and memory map
/// (xen/include/public/arch-x86/hvm/start_info.h).
enum HVMStartInfo {
  private static let magic: UInt32 = 0x336E_C578
  private static let byteCount: UInt64 = 56
  private static let moduleByteCount: UInt64 = 32
  private static let memoryMapEntryByteCount: UInt64 = 24

  static func place(
    in context: inout BootContext, initialRAMDisk: Range<UInt64>?
  ) throws(BootError) {
    let map = context.firmware.memoryMap.entries
    let moduleList = (BootLayout.startInfo + byteCount + 7) & ~7
    let memoryMap = moduleList + moduleByteCount
    let limit = Int((BootLayout.startInfoEnd - memoryMap) / memoryMapEntryByteCount)
    guard map.count <= limit else {
      throw .memoryMapTooLong(entries: map.count, limit: limit)
    }
    var bytes: [UInt8] = []
    bytes += littleEndian(magic)
    bytes += littleEndian(UInt32(1))  // version
    bytes += littleEndian(UInt32(0))  // flags
    bytes += littleEndian(UInt32(initialRAMDisk == nil ? 0 : 1))
    bytes += littleEndian(initialRAMDisk == nil ? 0 : moduleList)
    bytes += littleEndian(BootLayout.commandLine)
    bytes += littleEndian(context.firmware.rootSystemDescriptionPointer.rawValue)
    bytes += littleEndian(memoryMap)
    bytes += littleEndian(UInt32(map.count))
    bytes += littleEndian(UInt32(0))
    let module = initialRAMDisk ?? 0..<0
    bytes += littleEndian(module.lowerBound)
    bytes += littleEndian(module.upperBound - module.lowerBound)
    bytes += littleEndian(UInt64(0))  // no command line of its own
    bytes += littleEndian(UInt64(0))
    for entry in map {
      bytes += littleEndian(entry.start.rawValue)
      bytes += littleEndian(entry.byteCount)
      bytes += littleEndian(entry.kind.rawValue)
      bytes += littleEndian(UInt32(0))
    }
    try context.plan.write("start info", bytes, at: BootLayout.startInfo)
  }
}
