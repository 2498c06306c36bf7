import ArgumentParser
import DiskImages
import Foundation
import Martlet

/// `--disk PATH[,format=raw|qcow2][,readonly=on|off][,snapshot=on|off][,serial=TEXT]`
struct DiskArgument: Equatable {
  var path: String
  var format: ImageFormat?
  var isReadOnly = false
  var isSnapshot = false
  var serialNumber: String?

  static func argument(_ text: String) throws -> DiskArgument {
    var options = try ArgumentOptions(text)
    guard !options.kind.isEmpty else {
      throw ValidationError("a disk needs the path of its image, as in --disk disk.img")
    }
    var disk = DiskArgument(path: options.kind)
    if let name = try options.take("format") { disk.format = try ImageFormat.argument(name) }
    disk.isReadOnly = try options.takeSwitch("readonly") ?? false
    disk.isSnapshot = try options.takeSwitch("snapshot") ?? false
    disk.serialNumber = try options.take("serial")
    try options.finish("a disk: there are format=raw, readonly=on, snapshot=on and serial=TEXT")
    return disk
  }

  var configuration: VirtioBlockDeviceConfiguration {
    VirtioBlockDeviceConfiguration(
      imageURL: URL(fileURLWithPath: path), format: format, isReadOnly: isReadOnly,
      isSnapshot: isSnapshot,
      serialNumber: serialNumber)
  }
}
