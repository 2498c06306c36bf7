import ArgumentParser
import FileSharing
import Foundation
import Martlet

/// `--share PATH[,tag=NAME][,readonly=on|off]`
struct ShareArgument: Equatable {
  var path: String
  var tag: String?
  var isReadOnly = false

  static func argument(_ text: String) throws -> ShareArgument {
    var options = try ArgumentOptions(text)
    guard !options.kind.isEmpty else {
      throw ValidationError("a share needs the path of a folder, as in --share .")
    }
    var share = ShareArgument(path: options.kind)
    share.tag = try options.take("tag")
    share.isReadOnly = try options.takeSwitch("readonly") ?? false
    try options.finish("a share: there are tag=NAME and readonly=on")
    return share
  }

  /// - Parameter number: makes the tags of folders without one `share`, `share1`, `share2`…
  func configuration(number: Int) -> VirtioFileSystemDeviceConfiguration {
    var options = SharingOptions()
    options.isReadOnly = isReadOnly
    return VirtioFileSystemDeviceConfiguration(
      directoryURL: URL(fileURLWithPath: path),
      tag: tag ?? (number == 0 ? "share" : "share\(number)"), options: options)
  }
}
