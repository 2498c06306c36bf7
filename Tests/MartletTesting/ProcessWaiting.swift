public import Foundation

extension Process {
  /// Waits until the process has ended, and returns its exit status, or the signal that ended it, negative.
  ///
  /// `waitUntilExit` waits for the other end of a socket to close, which a server that libnbd starts at the same moment
  /// inherits: it then waits for that server too, whose test may wait for this thread.
  @discardableResult
  public func waitUntilEnded() -> Int32 {
    var information = siginfo_t()
    while waitid(P_PID, id_t(processIdentifier), &information, WEXITED | WNOWAIT) != 0 {
      if errno == EINTR { continue }
      // Foundation has seen the end, and reaped it.
      waitUntilExit()
      return terminationReason == .exit ? terminationStatus : -terminationStatus
    }
    let status = information._sifields._sigchld.si_status
    return information.si_code == CLD_EXITED ? status : -status
  }
}
