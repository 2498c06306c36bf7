import ArgumentParser
import Foundation
import HostSystem
import Networks

struct SwitchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "switch", abstract: "Connects the networks of machines on this host.",
    discussion:
      "Machines plug in with `martlet run --net switch,path=SOCKET`. Runs until it is interrupted.")

  @Argument(help: "The Unix socket to listen at.", completion: .file())
  var socket: String

  func run() throws {
    let networkSwitch: NetworkSwitch
    do {
      networkSwitch = try NetworkSwitch(path: socket)
    } catch {
      report("a switch cannot listen at \(socket) (\(error)): choose another path")
      throw ExitCode.failure
    }
    // The socket is to go away with the switch.
    let sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { networkSwitch.stop() }
      source.resume()
      return source
    }
    networkSwitch.run()
    for source in sources { source.cancel() }
  }
}
