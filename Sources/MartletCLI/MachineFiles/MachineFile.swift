import ArgumentParser
import Foundation
import Yams

/// A machine as a YAML file: what the options of `martlet run` say, under their names. Paths are relative to
/// the file.
struct MachineFile {
  /// The options as a command line would have them.
  let arguments: [String]

  /// How an entry becomes an option.
  private enum Form {
    case text
    case path
    /// Without a value: there if it is `true`.
    case flag
    /// Several texts in one option, with commas.
    case commaList
    /// The option once for each text, of which some are `file:PATH` or `socket:PATH`.
    case ports
    /// The option once for each device: a text as on the command line, or a mapping whose entry of this
    /// name comes first. `paths` are the names of entries that are paths.
    case devices(first: String, paths: Set<String>)
    /// One device: a text as on the command line, or a mapping of its options.
    case options(paths: Set<String>)
  }

  private static let entries: [(name: String, option: String, form: Form)] = [
    ("kernel", "kernel", .path), ("initrd", "initrd", .path), ("append", "append", .text),
    ("memory", "memory", .text), ("cpus", "cpus", .text), ("engine", "engine", .text),
    ("cpu-model", "cpu-model", .text), ("paravirt", "paravirt", .text),
    ("kernel-address", "kernel-address", .text), ("on-reset", "on-reset", .text),
    ("serial", "serial", .ports), ("consoles", "console", .ports),
    ("disks", "disk", .devices(first: "path", paths: ["path"])),
    ("networks", "net", .devices(first: "kind", paths: ["path"])),
    ("shares", "share", .devices(first: "path", paths: ["path"])),
    ("vsock", "vsock", .options(paths: ["path"])), ("balloon", "balloon", .options(paths: [])),
    ("virtio-transport", "virtio-transport", .text),
    ("stats", "stats", .flag), ("trace", "trace", .commaList), ("trace-file", "trace-file", .path),
    ("log-level", "log-level", .text),
  ]

  init(path: String) throws {
    let text: String
    do {
      text = try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      throw ValidationError(
        "the machine file \(path) cannot be read (\(error.localizedDescription)): check the path")
    }
    let directory = URL(fileURLWithPath: path).deletingLastPathComponent()
    try self.init(text, name: path, directory: directory)
  }

  /// - Parameters:
  ///   - name: what messages call the file.
  ///   - directory: what paths are relative to.
  init(_ text: String, name: String, directory: URL) throws {
    let reader = Reader(name: name, directory: directory)
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch {
      throw ValidationError("\(name) is not YAML: \(error)")
    }
    guard let root, case .mapping(let mapping) = root else {
      throw ValidationError(
        "\(name) does not describe a machine: write for example `kernel: vmlinuz`")
    }
    var arguments: [String] = []
    for (key, value) in mapping {
      let word = try reader.text(key)
      guard let entry = Self.entries.first(where: { $0.name == word }) else {
        let known = Self.entries.map(\.name).joined(separator: ", ")
        throw reader.error(key, "'\(word)' is nothing that a machine has; there are: \(known)")
      }
      arguments += try reader.values(value, entry.form).flatMap { value in
        value.map { ["--\(entry.option)", $0] } ?? ["--\(entry.option)"]
      }
    }
    self.arguments = arguments
  }

  private struct Reader {
    let name: String
    let directory: URL

    func error(_ node: Node, _ message: String) -> ValidationError {
      let place = node.mark.map { ":\($0.line)" } ?? ""
      return ValidationError("\(name)\(place): \(message)")
    }

    func text(_ node: Node) throws -> String {
      guard case .scalar(let scalar) = node else {
        throw error(node, "one value is wanted here")
      }
      return scalar.string
    }

    /// The option's values; `nil` for an option without one.
    func values(_ node: Node, _ form: Form) throws -> [String?] {
      switch form {
      case .text: return [try text(node)]
      case .path: return [absolute(try text(node))]
      case .flag:
        guard let isOn = node.bool else { throw error(node, "write true or false") }
        return isOn ? [nil] : []
      case .commaList: return [try list(node).map(text).joined(separator: ",")]
      case .ports:
        return try list(node).map { node in
          let words = try text(node).split(separator: ":", maxSplits: 1).map(String.init)
          let isPath = words.count == 2 && ["file", "socket"].contains(words[0])
          return isPath ? "\(words[0]):\(absolute(words[1]))" : words.joined(separator: ":")
        }
      case .devices(let first, let paths):
        return try list(node).map { try device($0, first: first, paths: paths) }
      case .options(let paths):
        guard case .mapping(let mapping) = node else { return [try text(node)] }
        return [try options(mapping, except: nil, paths: paths).options.joined(separator: ",")]
      }
    }

    /// The elements of a sequence; a single value is a sequence of one.
    private func list(_ node: Node) -> [Node] {
      if case .sequence(let sequence) = node { return Array(sequence) }
      return [node]
    }

    private func device(_ node: Node, first: String, paths: Set<String>) throws -> String {
      guard case .mapping(let mapping) = node else {
        let device = try text(node)
        // On the command line, too, the path comes first.
        return paths.contains(first) ? absolute(device) : device
      }
      let (kind, options) = try options(mapping, except: first, paths: paths)
      guard let kind else { throw error(node, "a \(first) is missing here") }
      return ([kind] + options).joined(separator: ",")
    }

    /// A device's options as `NAME=VALUE`, and the value of the one that goes without its name.
    private func options(
      _ mapping: Node.Mapping, except first: String?, paths: Set<String>
    ) throws -> (first: String?, options: [String]) {
      var kind: String?
      var options: [String] = []
      for (key, value) in mapping {
        let word = try text(key)
        for value in list(value) {
          var text = try text(value)
          if paths.contains(word) { text = absolute(text) }
          if word == first { kind = text } else { options.append("\(word)=\(switched(text))") }
        }
      }
      return (kind, options)
    }

    /// YAML's words for yes and no as the command line has them.
    private func switched(_ text: String) -> String {
      switch text {
      case "true", "yes": "on"
      case "false", "no": "off"
      default: text
      }
    }

    private func absolute(_ path: String) -> String {
      path.hasPrefix("/") || path.contains("://") ? path : directory.appending(path: path).path
    }
  }
}
