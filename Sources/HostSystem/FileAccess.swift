private import Glibc

/// Reading and writing whole files and streams.
public enum HostFile {
  /// All bytes of a regular file.
  ///
  /// - Parameter limit: files larger than this are refused with EFBIG.
  public static func read(path: String, limit: Int) throws(HostError) -> [UInt8] {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .current("open") }
    defer { close(file) }
    var status = stat()
    guard unsafe fstat(file, &status) == 0 else { throw .current("fstat") }
    guard status.st_mode & S_IFMT != S_IFDIR else { throw HostError(call: "open", errno: EISDIR) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(min(max(0, Int(status.st_size)), limit))
    while true {
      let chunk = try readSome(from: file, atMost: 1 << 20)
      if chunk.isEmpty { return bytes }
      guard bytes.count + chunk.count <= limit else {
        throw HostError(call: "read", errno: EFBIG)
      }
      bytes += chunk
    }
  }

  /// Makes a file, or empties the one that is there, for writing. The descriptor is the caller's.
  public static func create(path: String) throws(HostError) -> Int32 {
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard file >= 0 else { throw .current("open") }
    return file
  }

  /// What a descriptor has to give, waiting for it; empty at the end of the stream.
  public static func readSome(from file: Int32, atMost count: Int) throws(HostError) -> [UInt8] {
    while true {
      var result = 0
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        // SAFETY: the buffer has room for `count` bytes and `read` initializes `result` of them.
        result = unsafe Glibc.read(file, buffer.baseAddress, count)
        initialized = max(0, result)
      }
      if result >= 0 { return bytes }
      if errno == EAGAIN {
        var poll = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
        unsafe Glibc.poll(&poll, 1, -1)
      } else if errno != EINTR {
        throw .current("read")
      }
    }
  }

  /// Writes all bytes, waiting where the other side is slow.
  public static func write(_ bytes: [UInt8], to file: Int32) throws(HostError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      // SAFETY: the pointer and count describe the same buffer, for the length of the call.
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        var poll = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
        unsafe Glibc.poll(&poll, 1, -1)
      } else if errno != EINTR {
        throw .current("write")
      }
    }
  }
}

/// Reads a descriptor on a thread of its own until it ends or is told to stop.
public final class InputReader: Sendable {
  private let stopPipe: StopPipe
  private let thread: HostThread

  /// - Parameters:
  ///   - receive: gets what was read, in order, on the reader's thread.
  ///   - end: called once, after the last byte or when the descriptor fails.
  public init(
    file: Int32, receive: @escaping @Sendable ([UInt8]) -> Void,
    end: @escaping @Sendable () -> Void = {}
  ) throws(HostError) {
    let stopPipe = try StopPipe()
    self.stopPipe = stopPipe
    thread = try HostThread(name: "input") {
      while Self.waitForInput(file, unless: stopPipe.readEnd) {
        guard let bytes = try? HostFile.readSome(from: file, atMost: 4096), !bytes.isEmpty
        else { break }
        receive(bytes)
      }
      end()
    }
  }

  /// Stops reading and waits for the thread. Once, and not from within `receive`.
  public func stop() {
    _ = try? HostFile.write([0], to: stopPipe.writeEnd)
    thread.join()
  }

  private static func waitForInput(_ file: Int32, unless signal: Int32) -> Bool {
    while true {
      var polls = [
        pollfd(fd: file, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signal, events: Int16(POLLIN), revents: 0),
      ]
      let count = unsafe poll(&polls, 2, -1)
      if count < 0 && errno != EINTR { return false }
      if count > 0 {
        if polls[1].revents != 0 { return false }
        if polls[0].revents != 0 { return true }
      }
    }
  }
}

/// A pipe whose readable end says that it is time to stop.
private final class StopPipe: Sendable {
  let readEnd: Int32
  let writeEnd: Int32

  init() throws(HostError) {
    var ends: [Int32] = [-1, -1]
    guard unsafe pipe(&ends) == 0 else { throw .current("pipe") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    readEnd = ends[0]
    writeEnd = ends[1]
  }

  deinit {
    close(readEnd)
    close(writeEnd)
  }
}
