private import CHost
private import Glibc

/// The terminal that the process was started from.
public enum Terminal {
  public static let standardInput: Int32 = STDIN_FILENO
  public static let standardOutput: Int32 = STDOUT_FILENO
  public static let standardError: Int32 = STDERR_FILENO

  public static func isTerminal(_ file: Int32) -> Bool { isatty(file) == 1 }

  /// Passes every key on at once and unechoed, Ctrl-C included. From then on the terminal is restored
  /// however the process ends, save by SIGKILL.
  public static func makeRaw(_ file: Int32) throws(HostError) {
    guard chost_terminal_make_raw(file) == 0 else { throw .current("tcsetattr") }
  }

  /// How many columns and rows of characters a terminal shows; `nil` if it does not say.
  public static func size(_ file: Int32) -> (columns: UInt16, rows: UInt16)? {
    var columns: UInt16 = 0
    var rows: UInt16 = 0
    guard unsafe chost_terminal_size(file, &columns, &rows) == 0, columns > 0, rows > 0 else {
      return nil
    }
    return (columns, rows)
  }

  /// Puts the terminal back as it was before `makeRaw`.
  public static func restore() { chost_terminal_restore() }
}
