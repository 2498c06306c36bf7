import Glibc
import Synchronization

/// Translated blocks by name, for `perf report`: `/tmp/perf-PID.map`, where the environment variable `MARTLET_PERF_MAP` is
/// set. Names of code that was thrown away stay.
final class PerfMap: Sendable {
  static let shared: PerfMap? = unsafe getenv("MARTLET_PERF_MAP") == nil ? nil : PerfMap()

  private let file: Int32
  private let lock = Mutex(())

  /// `nil` where the file cannot be made.
  private init?() {
    file = unsafe open(
      "/tmp/perf-\(getpid()).map", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
    if file < 0 { return nil }
  }

  func add(_ start: UInt, _ byteCount: Int, _ name: String) {
    let line = "\(String(start, radix: 16)) \(String(byteCount, radix: 16)) \(name)\n"
    lock.withLock { _ in
      // A map that is not whole is better than none.
      _ = unsafe line.utf8CString.withUnsafeBytes {
        unsafe write(file, $0.baseAddress, $0.count - 1)
      }
    }
  }
}
