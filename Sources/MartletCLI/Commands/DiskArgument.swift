import ArgumentParser
import DeviceModel
import Foundation
import Martlet

/// `--disk PATH|URL[,format=NAME][,readonly=on|off][,snapshot=on|off][,serial=TEXT]
/// [,bps=BYTES[,bps-burst=BYTES]][,iops=COUNT[,iops-burst=COUNT]]`
struct DiskArgument: Equatable {
  /// Of an image, or the URL of an NBD server's export.
  var path: String
  var format: String?
  var isReadOnly = false
  var isSnapshot = false
  var serialNumber: String?
  var rateLimits = RateLimits()

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
    disk.rateLimits.bytes = try options.takeLimit("bps", inBytes: true)
    disk.rateLimits.operations = try options.takeLimit("iops", inBytes: false)
    try options.finish(
      "a disk: there are format=NAME, readonly=on, snapshot=on, serial=TEXT, bps=, bps-burst=, iops= and iops-burst="
    )
    return disk
  }

  var configuration: VirtioBlockDeviceConfiguration {
    let remote = path.contains("://") ? URL(string: path) : nil
    var configuration = VirtioBlockDeviceConfiguration(
      imageURL: remote ?? URL(fileURLWithPath: path), format: format, isReadOnly: isReadOnly,
      isSnapshot: isSnapshot, serialNumber: serialNumber)
    configuration.rateLimits = rateLimits
    return configuration
  }
}
