import Foundation
import FirmwareTables
import GuestMemory
import MachineTypes

/// The kernels of Debian that tests load: `<cache>/<flavour>/vmlinuz`.
enum Guests {
  static let flavours = ["cloud-amd64", "amd64", "686", "686-pae"]

  /// As `Scripts/common.sh` finds it.
  static let folder: String = {
    let environment = ProcessInfo.processInfo.environment
    func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    if let folder = value("MARTLET_GUESTS") { return folder }
    let cache =
      value("XDG_CACHE_HOME")
      ?? FileManager.default.homeDirectoryForCurrentUser.appending(path: ".cache").path()
    return "\(cache)/martlet/guests"
  }()

  static func file(_ path: String) -> [UInt8]? {
    FileManager.default.contents(atPath: "\(folder)/\(path)").map { [UInt8]($0) }
  }

  static func isMissing(_ path: String) -> Bool {
    !FileManager.default.fileExists(atPath: "\(folder)/\(path)")
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
