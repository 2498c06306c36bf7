import ArgumentParser
import DiskImages
import Martlet

struct ImageCreateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Makes an empty image, or one over another image.")

  @Argument(help: "The image to make.", completion: .file())
  var path: String

  @Option(help: "The image's format: raw or qcow2.")
  var format = ImageFormat.qcow2

  @Option(
    help: "The disk's size, for example 10G (default: the backing file's).",
    transform: MemorySize.argument)
  var size: MemorySize?

  @Option(
    help: """
      The image that is read where the new one has nothing: a path relative to the new image's folder. It must not \
      change any more.
      """, completion: .file())
  var backing: String?

  @Option(help: "The backing file's format (default: as its first bytes tell).")
  var backingFormat: ImageFormat?

  @OptionGroup var shape: NewImageOptions

  func run() throws {
    var options = shape.options(format)
    options.byteCount = size?.byteCount
    options.backingFile = backing
    options.backingFormat = backingFormat
    try ImageCommand.run { () throws(DiskImageError) in
      try DiskImage.create(path: path, options)
    }
  }
}

struct ImageResizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resize", abstract: "Makes an image's disk larger, or smaller.",
    discussion:
      "The guest's partitions and file systems stay as they are: enlarge them in the guest.")

  @Argument(help: "The image.", completion: .file())
  var path: String

  @Argument(help: "The new size, for example 20G, or +5G.")
  var size: String

  @Option(help: "The image's format (default: as its first bytes tell).")
  var format: ImageFormat?

  @Flag(help: "Allow the disk to get smaller: what lies behind its new end is lost.")
  var shrink = false

  func run() throws {
    let isRelative = size.hasPrefix("+")
    var byteCount = try MemorySize.argument(isRelative ? String(size.dropFirst()) : size).byteCount
    if isRelative {
      let present = try ImageCommand.run { () throws(DiskImageError) in
        try DiskImage.information(path: path, format: format).byteCount
      }
      let (sum, overflow) = present.addingReportingOverflow(byteCount)
      guard !overflow else { throw ValidationError("'\(size)' is too much") }
      byteCount = sum
    }
    try ImageCommand.run { () throws(DiskImageError) in
      try DiskImage.resize(path: path, format: format, to: byteCount, mayShrink: shrink)
    }
  }
}
