import HostSystem
import Martlet
import Synchronization

/// Where `--trace` writes: lines of all CPUs, through a buffer.
final class TraceLog: Sendable {
  private let buffer = Mutex<[UInt8]>([])
  private let file: Int32
  private static let capacity = 64 << 10

  /// - Parameter path: `nil` for the standard error output.
  init(path: String?) throws(ConfigurationError) {
    guard let path else {
      file = 2
      return
    }
    do {
      file = try HostFile.create(path: path)
    } catch {
      throw .unreadableFile(what: "trace file", path: path, reason: "\(error)")
    }
  }

  func write(_ line: String) {
    buffer.withLock { bytes in
      bytes += line.utf8
      bytes.append(10)
      if bytes.count >= Self.capacity { flush(&bytes) }
    }
  }

  func flush() { buffer.withLock { flush(&$0) } }

  private func flush(_ bytes: inout [UInt8]) {
    // There is nobody to tell that a trace cannot be written.
    try? HostFile.write(bytes, to: file)
    bytes.removeAll(keepingCapacity: true)
  }
}
