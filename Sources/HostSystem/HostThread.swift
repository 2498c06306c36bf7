private import CHost
private import Glibc
private import Synchronization

/// A POSIX thread.
public final class HostThread: Sendable {
  private let handle: pthread_t
  private let isJoined = Atomic<Bool>(false)

  fileprivate final class Start {
    let body: @Sendable () -> Void
    let name: String

    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = String(name.prefix(15))
      self.body = body
    }
  }

  /// Starts `body` on a thread of its own, with all signals blocked save those that engines raise on
  /// purpose, so that the process's signals arrive at its main thread, and a write to somebody who has gone is an
  /// error of that write (a library below may not ask for that itself: libslirp does not).
  ///
  /// - Parameters:
  ///   - name: shown by debuggers, 15 bytes at most.
  ///   - stackByteCount: of address space; touched pages count.
  public init(
    name: String, stackByteCount: Int = 1 << 20, body: @escaping @Sendable () -> Void
  ) throws(HostError) {
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    defer { unsafe pthread_attr_destroy(&attributes) }
    unsafe pthread_attr_setstacksize(&attributes, stackByteCount)

    let start = unsafe Unmanaged.passRetained(Start(name: name, body: body))
    var thread = pthread_t()
    let code = unsafe pthread_create(&thread, &attributes, threadMain, start.toOpaque())
    guard code == 0 else {
      unsafe start.release()
      throw HostError(call: "pthread_create", errno: code)
    }
    handle = thread
  }

  /// Waits until the body has returned. Once, and not from the thread itself.
  public func join() {
    isJoined.store(true, ordering: .relaxed)
    pthread_join(handle, nil)
  }

  /// A thread that nobody joins runs on, and cleans up after itself.
  deinit {
    if !isJoined.load(ordering: .relaxed) { pthread_detach(handle) }
  }

}

private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  // SAFETY: the argument is the `HostThread.Start` that `HostThread.init` retained for this call.
  let start = unsafe Unmanaged<HostThread.Start>.fromOpaque(argument!).takeRetainedValue()
  var blocked = sigset_t()
  unsafe sigemptyset(&blocked)
  for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH, SIGPIPE] {
    unsafe sigaddset(&blocked, signal)
  }
  unsafe pthread_sigmask(SIG_BLOCK, &blocked, nil)
  unsafe chost_name_thread(start.name)
  start.body()
  return nil
}
