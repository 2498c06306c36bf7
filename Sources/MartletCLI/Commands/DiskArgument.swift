import ArgumentParser
import Foundation
import Martlet

/// `--disk PATH[,readonly=on|off][,snapshot=on|off][,serial=TEXT]`
struct DiskArgument: Equatable {
  var path: String
  var isReadOnly = false
  var isSnapshot = false
  var serialNumber: String?

  static func argument(_ text: String) throws -> DiskArgument {
    var parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    var disk = DiskArgument(path: parts.removeFirst())
    guard !disk.path.isEmpty else {
      throw ValidationError("a disk needs the path of its image, as in --disk disk.img")
    }
    for part in parts {
      let words = part.split(separator: "=", maxSplits: 1).map(String.init)
      switch (words.first, words.last) {
      case ("readonly", "on") where words.count == 2: disk.isReadOnly = true
      case ("readonly", "off") where words.count == 2: disk.isReadOnly = false
      case ("snapshot", "on") where words.count == 2: disk.isSnapshot = true
      case ("snapshot", "off") where words.count == 2: disk.isSnapshot = false
      case ("serial", let serial?) where words.count == 2: disk.serialNumber = serial
      default:
        throw ValidationError(
          "'\(part)' is no option of a disk: there are readonly=on, snapshot=on and serial=TEXT")
      }
    }
    return disk
  }

  var configuration: VirtioBlockDeviceConfiguration {
    VirtioBlockDeviceConfiguration(
      imageURL: URL(fileURLWithPath: path), isReadOnly: isReadOnly, isSnapshot: isSnapshot,
      serialNumber: serialNumber)
  }
}
