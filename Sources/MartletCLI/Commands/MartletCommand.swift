import ArgumentParser

@main
struct MartletCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet",
    abstract: "Runs Linux in virtual machines, with or without hardware virtualization.",
    version: "0.1.0-dev",
    subcommands: [
      RunCommand.self, NewCommand.self, ImageCommand.self, SwitchCommand.self, DoctorCommand.self,
    ])
}
