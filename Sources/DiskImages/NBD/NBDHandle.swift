internal import CNBD
internal import Glibc
import HostSystem

/// One connection of libnbd's. Used by one thread at a time.
@safe final class NBDHandle: @unchecked Sendable {
  /// What a server is asked to do; counts within `NBDExport.maximumByteCount`, buffers of one run.
  enum Command: Sendable {
    case read(offset: UInt64, into: MemorySegments)
    case write(offset: UInt64, from: MemorySegments, isDurable: Bool)
    case flush
    case trim(offset: UInt64, byteCount: UInt64)
    case zero(offset: UInt64, byteCount: UInt64, mayUnmap: Bool)
  }

  static let closed = "the server closed the connection"

  private let handle: OpaquePointer
  private let server: NBDServer
  /// What libnbd writes to or reads from, by the numbers of commands.
  private var pending: [UInt64: Command] = [:]
  private var nextNumber: UInt64 = 0
  /// What has ended since it was last asked for; 0 for success.
  private var ended: [(number: UInt64, error: Int32)] = []

  /// Begins to connect.
  init(_ server: NBDServer) throws(NBDError) {
    self.server = server
    guard let handle = unsafe nbd_create() else { throw NBDHandle.failure(server) }
    unsafe self.handle = handle
    // Buffers are the guest's, which has seen what is in them.
    unsafe nbd_set_pread_initialize(handle, false)
    unsafe nbd_set_uri_allow_local_file(handle, true)
    let result =
      switch server {
      case .address(let address): unsafe nbd_aio_connect_uri(handle, address)
      case .command(let words): unsafe NBDHandle.start(words, handle)
      }
    guard result == 0 else { throw NBDHandle.failure(server) }
  }

  /// Ends the connection, and a server that was started for it.
  deinit { unsafe nbd_close(handle) }

  private static func start(_ words: [String], _ handle: OpaquePointer) -> Int32 {
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    // SAFETY: libnbd copies the list, which ends with a null pointer.
    return unsafe nbd_aio_connect_systemd_socket_activation(handle, &arguments)
  }

  private static func failure(_ server: NBDServer) -> NBDError {
    NBDError(server: server, reason: lastError)
  }

  /// What libnbd says of this thread's last failure.
  private static var lastError: String {
    let text = unsafe nbd_get_error().map { unsafe String(cString: $0) } ?? "unknown error"
    // `nbd_connect_uri: reason: more`: the name of the function helps nobody.
    guard text.hasPrefix("nbd_"), let colon = text.firstIndex(of: ":") else { return text }
    return String(text[text.index(after: colon)...].drop { $0 == " " })
  }

  // MARK: Progress

  var isConnecting: Bool { unsafe nbd_aio_is_connecting(handle) == 1 }
  var isOver: Bool { unsafe nbd_aio_is_dead(handle) == 1 || nbd_aio_is_closed(handle) == 1 }
  /// `takeEnded` has something to tell.
  var hasEnded: Bool { !ended.isEmpty }

  /// Waits until the connection can go on, or `wake` is signalled, and has it go on.
  ///
  /// - Returns: why the connection is over, if it is.
  func wait(or wake: WakeDescriptor, milliseconds: UInt32?) -> String? {
    if isOver { return Self.closed }
    var polls = PollSet()
    polls.add(wake.descriptor, .readable)
    let direction = unsafe Int32(bitPattern: nbd_aio_get_direction(handle))
    var events: PollSet.Events = []
    if direction & LIBNBD_AIO_DIRECTION_READ != 0 { events.insert(.readable) }
    if direction & LIBNBD_AIO_DIRECTION_WRITE != 0 { events.insert(.writable) }
    let descriptor = unsafe nbd_aio_get_fd(handle)
    if descriptor >= 0 { polls.add(descriptor, events) }
    _ = polls.wait(milliseconds: milliseconds)
    if !polls[0].isEmpty { wake.clear() }
    let happened = polls[1]
    var result: Int32 = 0
    if !happened.intersection([.readable, .hangUp, .error]).isEmpty,
      direction & LIBNBD_AIO_DIRECTION_READ != 0
    {
      result = unsafe nbd_aio_notify_read(handle)
    } else if !happened.intersection([.writable, .hangUp, .error]).isEmpty {
      result = unsafe nbd_aio_notify_write(handle)
    }
    if result != 0, isOver { return Self.lastError }
    return isOver ? Self.closed : nil
  }

  /// What the server says of the disk, once connected.
  func export() throws(NBDError) -> NBDExport {
    let byteCount = unsafe nbd_get_size(handle)
    guard byteCount >= 0 else { throw Self.failure(server) }
    func size(_ kind: Int32, default value: Int64) -> UInt32 {
      let size = unsafe nbd_get_block_size(handle, kind)
      return UInt32(clamping: size > 0 ? size : value)
    }
    let minimum = max(512, size(LIBNBD_SIZE_MINIMUM, default: 512))
    let maximum = size(LIBNBD_SIZE_MAXIMUM, default: 32 << 20)
    guard minimum & (minimum - 1) == 0, minimum <= 4096, maximum >= minimum else {
      throw NBDError(server: server, reason: "its blocks of \(minimum) bytes are no disk's")
    }
    return unsafe NBDExport(
      byteCount: UInt64(byteCount), isReadOnly: nbd_is_read_only(handle) == 1,
      canFlush: nbd_can_flush(handle) == 1, canWriteDurably: nbd_can_fua(handle) == 1,
      canTrim: nbd_can_trim(handle) == 1, canZero: nbd_can_zero(handle) == 1,
      canConnectOften: nbd_can_multi_conn(handle) == 1, minimumByteCount: minimum,
      preferredByteCount: max(minimum, size(LIBNBD_SIZE_PREFERRED, default: 4096)),
      maximumByteCount: min(maximum, 32 << 20) & ~(minimum - 1))
  }

  // MARK: Commands

  /// Whom libnbd tells of the end of a command.
  private final class Receiver {
    unowned let handle: NBDHandle
    let number: UInt64
    init(_ handle: NBDHandle, _ number: UInt64) { (self.handle, self.number) = (handle, number) }
  }

  /// Begins a command and returns its number; `takeEnded` tells of its end.
  func begin(_ command: Command) throws(HostError) -> UInt64 {
    let number = nextNumber
    nextNumber &+= 1
    pending[number] = command
    // SAFETY: libnbd keeps the receiver until it has called `free`, and calls back only from within calls of
    // this object, whose buffers in `pending` outlive the command.
    let callback = unsafe nbd_completion_callback(
      callback: { context, error in
        guard let context = unsafe context else { return 1 }
        let receiver = unsafe Unmanaged<Receiver>.fromOpaque(context).takeUnretainedValue()
        let code = unsafe error?.pointee ?? 0
        receiver.handle.ended.append((receiver.number, code))
        // It need not be asked for again.
        return 1
      }, user_data: Unmanaged.passRetained(Receiver(self, number)).toOpaque(),
      free: { context in
        guard let context = unsafe context else { return }
        unsafe Unmanaged<Receiver>.fromOpaque(context).release()
      })
    let cookie = unsafe issue(command, callback)
    guard cookie >= 0 else {
      pending[number] = nil
      ended.removeAll { $0.number == number }
      throw HostError(call: "nbd", errno: max(1, nbd_get_errno()))
    }
    return number
  }

  private func issue(_ command: Command, _ callback: nbd_completion_callback) -> Int64 {
    switch command {
    case .read(let offset, let buffer):
      unsafe nbd_aio_pread(
        handle, buffer.start, buffer.byteCount, offset, callback, 0)
    case .write(let offset, let buffer, let isDurable):
      unsafe nbd_aio_pwrite(
        handle, buffer.start, buffer.byteCount, offset, callback,
        isDurable ? LIBNBD_CMD_FLAG_FUA : 0)
    case .flush: unsafe nbd_aio_flush(handle, callback, 0)
    case .trim(let offset, let count): unsafe nbd_aio_trim(handle, count, offset, callback, 0)
    case .zero(let offset, let count, let mayUnmap):
      unsafe nbd_aio_zero(
        handle, count, offset, callback, mayUnmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE)
    }
  }

  /// The commands that have ended since the last call.
  func takeEnded() -> [(number: UInt64, error: Int32)] {
    defer { ended = [] }
    for (number, _) in ended { pending[number] = nil }
    return ended
  }

  /// Tells the server that this is the end.
  func disconnect() { unsafe nbd_aio_disconnect(handle, 0) }
}

extension MemorySegments {
  /// Of a buffer of one run.
  @unsafe fileprivate var start: UnsafeMutableRawPointer? { unsafe vectors.first?.iov_base }
}
