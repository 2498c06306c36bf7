import ArgumentParser
import Martlet

/// `--console terminal|none|file:PATH|socket:PATH[,name=NAME]`
struct ConsoleArgument: Equatable {
  var destination: SerialDestination
  /// Of a port for programs; `nil` for a terminal.
  var name: String?

  static func argument(_ text: String) throws -> ConsoleArgument {
    var options = try ArgumentOptions(text)
    guard let destination = SerialDestination(options.kind) else {
      throw ValidationError(
        "'\(options.kind)' is no console: use terminal, none, file:PATH or socket:PATH")
    }
    let console = ConsoleArgument(destination: destination, name: try options.take("name"))
    try options.finish("a console: there is name=NAME")
    return console
  }

  func configuration(
    onQuit: @escaping @Sendable () -> Void
  ) throws(ConfigurationError) -> VirtioConsolePortConfiguration {
    VirtioConsolePortConfiguration(
      name: name, attachment: try destination.attachment(for: "console log", onQuit: onQuit))
  }
}
