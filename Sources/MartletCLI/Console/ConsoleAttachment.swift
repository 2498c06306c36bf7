import Dispatch
import Glibc
import HostSystem
import Martlet
import Synchronization

/// The guest's serial console on this process's standard input and output. A terminal is in raw mode
/// while the machine runs and knows the Ctrl-A commands; a pipe is passed on as it is.
final class ConsoleAttachment: SerialPortAttachment {
  private static let help = """

    Ctrl-A x       stop the machine and quit
    Ctrl-A h       this help
    Ctrl-A Ctrl-A  send Ctrl-A to the guest

    """

  private let onQuit: @Sendable () -> Void
  private let reader = Mutex<InputReader?>(nil)
  private let reportSize = Mutex<(@Sendable (TerminalSize) -> Void)?>(nil)

  init(onQuit: @escaping @Sendable () -> Void) { self.onQuit = onQuit }

  func send(_ bytes: [UInt8]) { try? HostFile.write(bytes, to: Terminal.standardOutput) }

  func connect(receive: @escaping @Sendable ([UInt8]) -> Void) throws {
    let input = Terminal.standardInput
    guard Terminal.isTerminal(input) else {
      let reader = try InputReader(file: input, receive: receive)
      self.reader.withLock { $0 = reader }
      return
    }
    try Terminal.makeRaw(input)
    let filter = Mutex(EscapeFilter())
    let onQuit = onQuit
    let reader = try InputReader(file: input) { bytes in
      for event in filter.withLock({ $0.events(for: bytes) }) {
        switch event {
        case .type(let keys): receive(keys)
        case .quit: onQuit()
        case .help: try? HostFile.write(Array(Self.help.utf8), to: Terminal.standardError)
        }
      }
    }
    self.reader.withLock { $0 = reader }
  }

  func observeSize(_ report: @escaping @Sendable (TerminalSize) -> Void) {
    guard Terminal.isTerminal(Terminal.standardOutput) else { return }
    reportSize.withLock { $0 = report }
    lookAtSize()
    let source = DispatchSource.makeSignalSource(signal: SIGWINCH, queue: .global())
    // The source lives as long as the process, as the terminal does.
    source.setEventHandler { [weak self] in
      _ = source
      self?.lookAtSize()
    }
    source.resume()
  }

  private func lookAtSize() {
    guard let report = reportSize.withLock({ $0 }),
      let size = Terminal.size(Terminal.standardOutput)
    else { return }
    report(TerminalSize(columns: size.columns, rows: size.rows))
  }

  func disconnect() {
    reportSize.withLock { $0 = nil }
    let reader = reader.withLock { $0.take() }
    reader?.stop()
    Terminal.restore()
  }
}
