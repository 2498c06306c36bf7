import ArgumentParser
import Foundation
import Martlet

/// `--disk PATH|URL[,format=NAME][,readonly=on|off][,snapshot=on|off][,serial=TEXT]`
struct DiskArgument: Equatable {
  /// Of an image, or the URL of an NBD server's export.
  var path: String
  var format: String?
  var isReadOnly = false
  var isSnapshot = false
  var serialNumber: String?

  static func argument(_ text: String) throws -> DiskArgument {
    var options = try ArgumentOptions(text)
    guard !options.kind.isEmpty else {
      throw ValidationError("a disk needs the path of its image, as in --disk disk.img")
    }
    var disk = DiskArgument(path: options.kind)
    disk.format = try options.take("format")
    disk.isReadOnly = try options.takeSwitch("readonly") ?? false
    disk.isSnapshot = try options.takeSwitch("snapshot") ?? false
    disk.serialNumber = try options.take("serial")
    try options.finish("a disk: there are format=NAME, readonly=on, snapshot=on and serial=TEXT")
    return disk
  }

  var configuration: VirtioBlockDeviceConfiguration {
    let remote = path.contains("://") ? URL(string: path) : nil
    return VirtioBlockDeviceConfiguration(
      imageURL: remote ?? URL(fileURLWithPath: path), format: format, isReadOnly: isReadOnly,
      isSnapshot: isSnapshot, serialNumber: serialNumber)
  }
}
