public import ArgumentParser
public import Logging

extension Logger.Level: @retroactive ExpressibleByArgument {}

struct LoggingOptions: ParsableArguments {
  @Option(help: "How much to log on standard error.")
  var logLevel = Logger.Level.warning

  func bootstrap() {
    let level = logLevel
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = level
      return handler
    }
  }
}
