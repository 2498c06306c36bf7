import ArgumentParser
import DiskImages
import Foundation
import HostSystem

struct ImageConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert", abstract: "Copies an image to one of another format or shape.",
    discussion:
      "The copy has no backing file: it holds all that the image and those behind it show.")

  @Argument(help: "The image.", completion: .file())
  var source: String

  @Argument(help: "The image to make.", completion: .file())
  var target: String

  @Option(help: "The new image's format: raw or qcow2.")
  var format = ImageFormat.qcow2

  @Option(help: "The old image's format (default: as its first bytes tell).")
  var sourceFormat: ImageFormat?

  @Flag(help: "Compress the new image's clusters.")
  var compress = false

  @Flag(help: "Show no progress.")
  var quiet = false

  @OptionGroup var shape: NewImageOptions

  func run() throws {
    var shown = -1
    let isShown = !quiet && Terminal.isTerminal(Terminal.standardError)
    func show(_ done: UInt64, _ all: UInt64) {
      let percent = all == 0 ? 100 : Int(Double(done) / Double(all) * 100)
      guard isShown, percent != shown else { return }
      shown = percent
      FileHandle.standardError.write(Data("\r\(percent) %\(percent == 100 ? "\n" : "")".utf8))
    }
    try ImageCommand.run { () throws(DiskImageError) in
      try DiskImage.convert(
        from: source, format: sourceFormat, to: target, shape.options(format),
        isCompressed: compress, progress: show)
    }
  }
}
