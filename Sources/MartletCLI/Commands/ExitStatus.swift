import ArgumentParser
import Martlet

/// The exit statuses of `martlet run`, which scripts rely on. A usage error is 64, as
/// swift-argument-parser has it.
enum ExitStatus: Int32, CaseIterable {
  case poweredOff = 0
  case hostError = 1
  case guestPanic = 3
  case tripleFault = 4
  case guestReset = 5
  case quitByUser = 130

  init(_ reason: ExitReason) {
    switch reason {
    case .poweredOff: self = .poweredOff
    case .hostError: self = .hostError
    case .guestPanic: self = .guestPanic
    case .tripleFault: self = .tripleFault
    case .reset: self = .guestReset
    case .stopped: self = .quitByUser
    }
  }

  var meaning: String {
    switch self {
    case .poweredOff: "the guest powered off"
    case .hostError: "the host, the engine or a file failed; the message says what to do"
    case .guestPanic: "the guest's kernel reported a panic (pvpanic)"
    case .tripleFault: "triple fault; the registers are on standard error"
    case .guestReset: "the guest reset its machine, with --on-reset exit"
    case .quitByUser: "Ctrl-A x"
    }
  }

  static var table: String {
    allCases.map { status in
      let number = "\(status.rawValue)"
      return "  " + number + String(repeating: " ", count: 5 - number.count) + status.meaning
    }.joined(separator: "\n") + "\n  64   the command line or the configuration is wrong"
  }
}
