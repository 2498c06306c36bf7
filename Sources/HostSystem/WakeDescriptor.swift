private import CHost
internal import Glibc

/// A descriptor that becomes readable when it is signalled, to wake a thread out of `poll` (eventfd).
public final class WakeDescriptor: Sendable {
  public let descriptor: Int32

  public init() throws(HostError) {
    descriptor = chost_eventfd()
    guard descriptor >= 0 else { throw .current("eventfd") }
  }

  deinit { close(descriptor) }

  public func signal() {
    var one: UInt64 = 1
    // SAFETY: eight bytes, as eventfd wants them. A full counter is a signal as well.
    _ = unsafe write(descriptor, &one, 8)
  }

  /// Takes all signals back.
  public func clear() {
    var count: UInt64 = 0
    // SAFETY: as above.
    _ = unsafe read(descriptor, &count, 8)
  }
}

/// What `poll` waits for, and what it found.
public struct PollSet: Sendable {
  public struct Events: OptionSet, Sendable {
    public let rawValue: Int16
    public init(rawValue: Int16) { self.rawValue = rawValue }
    public static let readable = Events(rawValue: Int16(POLLIN))
    public static let writable = Events(rawValue: Int16(POLLOUT))
    public static let urgent = Events(rawValue: Int16(POLLPRI))
    public static let error = Events(rawValue: Int16(POLLERR))
    public static let hangUp = Events(rawValue: Int16(POLLHUP))
  }

  private var entries: [pollfd] = []

  public init() {}

  public var count: Int { entries.count }

  public mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

  /// Returns the number under which the result is found.
  @discardableResult
  public mutating func add(_ descriptor: Int32, _ events: Events) -> Int {
    entries.append(pollfd(fd: descriptor, events: events.rawValue, revents: 0))
    return entries.count - 1
  }

  /// What happened; errors and hang-ups are reported unasked.
  public subscript(number: Int) -> Events {
    entries.indices.contains(number) ? Events(rawValue: entries[number].revents) : []
  }

  /// Waits, `milliseconds` at most; `nil` for no limit. Returns `false` if `poll` failed.
  public mutating func wait(milliseconds: UInt32?) -> Bool {
    let limit = milliseconds.map { Int32(clamping: $0) } ?? -1
    return unsafe poll(&entries, nfds_t(entries.count), limit) >= 0
  }
}
