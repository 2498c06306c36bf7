import FoundationEssentials

/// Programs of the host's that parts of a machine use where they are installed.
enum HostProgram {
  /// The first of that name in PATH; `nil` if there is none.
  static func path(of name: String) -> String? {
    let directories = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
    return directories.split(separator: ":").map { "\($0)/\(name)" }
      .first { $0.hasPrefix("/") && FileManager.default.isExecutableFile(atPath: $0) }
  }
}
