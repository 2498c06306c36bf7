import ArgumentParser
import DiskImages

struct ImageCheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Checks a qcow2 image's tables, and repairs them.",
    discussion: """
      The exit status is that of `qemu-img check`: 0 for a good image, 1 if it could not be checked, 2 for one \
      with errors, 3 for one that only lost space. With --repair it is about what is left.
      """)

  @Argument(help: "The image.", completion: .file())
  var path: String

  @Option(help: "The image's format (default: as its first bytes tell).")
  var format: ImageFormat?

  @Option(
    help: """
      What to repair: leaks gives back space that nothing refers to; counts also corrects reference counts; all \
      also has what can be read no more read as zeroes.
      """)
  var repair: RepairMode?

  @Flag(help: "Write JSON, with the names of `qemu-img check`.")
  var json = false

  func run() throws {
    let found = try ImageCommand.run { () throws(DiskImageError) in
      try DiskImage.check(path: path, format: format, repair: repair)
    }
    if json {
      try ImageCommand.writeJSON(found.json(path))
    } else {
      print(found.text(path))
    }
    if found.corruptions > 0 { throw ExitCode(2) }
    if found.leaks > 0 { throw ExitCode(3) }
  }
}

extension CheckReport {
  fileprivate func text(_ path: String) -> String {
    var lines = findings
    if corruptionsFixed > 0 || leaksFixed > 0 {
      lines.append("repaired: \(corruptionsFixed) errors, \(leaksFixed) leaked clusters")
    }
    lines.append(
      corruptions == 0 && leaks == 0
        ? "\(path) has no errors"
        : "\(path) has \(corruptions) errors and \(leaks) leaked clusters: repair it with --repair "
          + (corruptions == 0 ? "leaks" : "all"))
    let percent = totalClusters == 0 ? 0 : allocatedClusters * 100 / totalClusters
    lines.append(
      "\(allocatedClusters) of \(totalClusters) clusters (\(percent) %) have data, "
        + "\(compressedClusters) compressed; the image ends at byte \(imageEndOffset)")
    return lines.joined(separator: "\n")
  }

  fileprivate func json(_ path: String) -> [String: Any] {
    [
      "filename": path, "format": "qcow2", "check-errors": 0, "corruptions": corruptions,
      "leaks": leaks, "corruptions-fixed": corruptionsFixed, "leaks-fixed": leaksFixed,
      "image-end-offset": imageEndOffset, "total-clusters": totalClusters,
      "allocated-clusters": allocatedClusters, "fragmented-clusters": fragmentedClusters,
      "compressed-clusters": compressedClusters,
    ]
  }
}
