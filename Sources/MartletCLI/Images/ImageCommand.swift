public import ArgumentParser
public import DiskImages
import Foundation
import Martlet

struct ImageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "image", abstract: "Makes, shows, checks, converts and resizes disk images.",
    discussion: """
      Raw and qcow2 images. An image that a machine has open for writing is left alone; so is one that is \
      being read, by what would write to it.
      """,
    subcommands: [
      ImageCreateCommand.self, ImageInfoCommand.self, ImageCheckCommand.self,
      ImageConvertCommand.self, ImageResizeCommand.self,
    ])

  /// Runs `body`; what goes wrong with an image is told as it is, with a status of 1.
  static func run<Result>(_ body: () throws(DiskImageError) -> Result) throws -> Result {
    do {
      return try body()
    } catch {
      report("\(error)")
      throw ExitCode.failure
    }
  }

  static func writeJSON(_ object: [String: Any]) throws {
    let data = try JSONSerialization.data(
      withJSONObject: object, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    print(String(decoding: data, as: UTF8.self))
  }
}

extension ImageFormat: ExpressibleByArgument {}
extension ImageOptions.Preallocation: ExpressibleByArgument {}
extension RepairMode: ExpressibleByArgument {}

extension ClusterCompression: ExpressibleByArgument {
  public init?(argument: String) {
    guard let value = Self.allCases.first(where: { "\($0)" == argument }) else { return nil }
    self = value
  }

  public static var allValueStrings: [String] { allCases.map { "\($0)" } }
}

/// What a new image is like: for `create` and `convert`.
struct NewImageOptions: ParsableArguments {
  @Option(
    name: .customLong("cluster-size"), help: "The size of a qcow2 image's clusters: 512 to 2M.",
    transform: MemorySize.argument)
  var clusterSize = MemorySize(65_536)

  @Flag(
    help: """
      Have a qcow2 image's reference counts written when it is closed: faster, and repaired by who opens it after \
      a crash.
      """)
  var lazyRefcounts = false

  @Option(help: "What space is set aside: off, metadata, falloc or full.")
  var preallocation = ImageOptions.Preallocation.off

  @Option(help: "How compressed clusters are compressed: zlib or zstd.")
  var compressionType = ClusterCompression.zlib

  func options(_ format: ImageFormat) -> ImageOptions {
    var options = ImageOptions(format: format)
    options.clusterByteCount = clusterSize.byteCount
    options.hasLazyRefcounts = lazyRefcounts
    options.preallocation = preallocation
    options.compression = compressionType
    return options
  }
}
