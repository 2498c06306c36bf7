import Foundation
import HostSystem

/// A directory that goes away with this object, with a directory beside it that nothing shared may reach.
final class TemporaryFolder: Sendable {
  let base: String
  var path: String { base + "/shared" }
  /// Holds the file `secret`.
  var outside: String { base + "/outside" }

  init() throws {
    base = FileManager.default.temporaryDirectory
      .appending(path: "martlet-share-\(UUID().uuidString)").path()
    for folder in [base + "/shared", base + "/outside"] {
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true)
    }
    try Data("secret".utf8).write(to: URL(fileURLWithPath: outside + "/secret"))
  }

  deinit { try? FileManager.default.removeItem(atPath: base) }

  func root() throws -> FileNode { try FileNode(directory: path) }

  func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/" + name))
  }

  func read(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: path + "/" + name)), as: UTF8.self)
  }

  func makeDirectory(_ name: String) throws {
    try FileManager.default.createDirectory(
      atPath: path + "/" + name, withIntermediateDirectories: false)
  }

  func makeLink(_ name: String, to target: String) throws {
    try FileManager.default.createSymbolicLink(
      atPath: path + "/" + name, withDestinationPath: target)
  }

  func exists(_ name: String) -> Bool {
    (try? FileManager.default.attributesOfItem(atPath: path + "/" + name)) != nil
  }
}
