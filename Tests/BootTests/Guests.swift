import Foundation
import FirmwareTables
import GuestMemory
import MachineTypes

/// The kernels of Debian that tests load: `MARTLET_GUESTS/<flavour>/vmlinuz`.
enum Guests {
  static let flavours = ["cloud-amd64", "amd64", "686", "686-pae"]

  static func file(_ path: String) -> [UInt8]? {
    guard let folder = ProcessInfo.processInfo.environment["MARTLET_GUESTS"],
      let data = FileManager.default.contents(atPath: "\(folder)/\(path)")
    else { return nil }
    return [UInt8](data)
  }

  static func isMissing(_ path: String) -> Bool {
    guard let folder = ProcessInfo.processInfo.environment["MARTLET_GUESTS"] else { return true }
    return !FileManager.default.fileExists(atPath: "\(folder)/\(path)")
  }

  static func kernel(_ flavour: String) -> [UInt8]? { file("\(flavour)/vmlinuz") }

  static let areMissing = flavours.contains { isMissing("\($0)/vmlinuz") }
}

extension Int {
  var mebibytes: UInt64 { UInt64(self) << 20 }
}

/// Guest memory with the firmware that belongs to it.
func machine(
  memory: UInt64 = 256.mebibytes, cpuCount: Int = 1
) throws -> (GuestRAM, FirmwareImage) {
  let ram = try GuestRAM(byteCount: memory)
  let firmware = try FirmwareImage(
    platform: PlatformDescription(cpuCount: cpuCount), memory: ram)
  return (ram, firmware)
}
