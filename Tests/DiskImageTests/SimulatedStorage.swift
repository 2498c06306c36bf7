import HostSystem

@testable import DiskImages

/// A file in memory that remembers what was done to it and when it was flushed, so that it can be had as a disk
/// would show it whose power failed at any moment.
final class SimulatedStorage: ImageStorage {
  enum Event: Sendable {
    case write(offset: Int, bytes: [UInt8])
    case resize(Int)
    case flush
  }

  private struct State: Sendable {
    var bytes: [UInt8]
    var events: [Event] = []
    /// How many operations go well before all fail.
    var budget = Int.max

    mutating func apply(_ event: Event) {
      Self.apply(event, to: &bytes)
      events.append(event)
    }

    static func apply(_ event: Event, to bytes: inout [UInt8]) {
      switch event {
      case .write(let offset, let data):
        if bytes.count < offset + data.count {
          bytes += [UInt8](repeating: 0, count: offset + data.count - bytes.count)
        }
        bytes.replaceSubrange(offset..<offset + data.count, with: data)
      case .resize(let count):
        if count < bytes.count {
          bytes.removeLast(bytes.count - count)
        } else {
          bytes += [UInt8](repeating: 0, count: count - bytes.count)
        }
      case .flush: break
      }
    }
  }

  private let state: Monitor<State>
  private let initial: [UInt8]
  let isReadOnly = false

  init(_ bytes: [UInt8]) {
    initial = bytes
    state = Monitor(State(bytes: bytes))
  }

  var bytes: [UInt8] { state.withLock { $0.bytes } }
  var eventCount: Int { state.withLock { $0.events.count } }
  var events: [Event] { state.withLock { $0.events } }

  /// From now on, so many writes and flushes go well, and then none.
  func fail(after count: Int) { state.withLock { $0.budget = count } }

  private func spend(_ state: inout State) throws(HostError) {
    guard state.budget > 0 else { throw HostError(call: "pwritev", errno: 5) }
    state.budget -= 1
  }

  func byteCount() throws(HostError) -> UInt64 { UInt64(bytes.count) }
  func isRegularFile() throws(HostError) -> Bool { true }

  func read(into buffer: MemorySegments, at offset: UInt64) throws(HostError) {
    let part = state.withLock { state -> [UInt8] in
      guard let start = Int(exactly: offset), start < state.bytes.count else { return [] }
      return Array(state.bytes[start..<min(state.bytes.count, start + buffer.byteCount)])
    }
    buffer.write(part)
    buffer.clear(from: part.count, count: buffer.byteCount - part.count)
  }

  func write(from buffer: MemorySegments, at offset: UInt64) throws(HostError) {
    let data = buffer.bytes()
    try state.withLock { (state) throws(HostError) in
      try spend(&state)
      guard offset < 1 << 40 else { throw HostError(call: "pwritev", errno: 27) }
      state.apply(.write(offset: Int(offset), bytes: data))
    }
  }

  func flush() throws(HostError) {
    try state.withLock { (state) throws(HostError) in
      try spend(&state)
      state.apply(.flush)
    }
  }

  func punchHole(at offset: UInt64, byteCount: UInt64) throws(HostError) {
    state.withLock { state in
      let end = min(Int(offset + byteCount), state.bytes.count)
      guard Int(offset) < end else { return }
      state.apply(
        .write(offset: Int(offset), bytes: [UInt8](repeating: 0, count: end - Int(offset))))
    }
  }

  func resize(to byteCount: UInt64) throws(HostError) {
    state.withLock { $0.apply(.resize(Int(byteCount))) }
  }

  func reserve(at offset: UInt64, byteCount: UInt64) throws(HostError) {}
  func nextData(from offset: UInt64) throws(HostError) -> UInt64? {
    offset < UInt64(bytes.count) ? offset : nil
  }
  func unlock() {}

  // MARK: Loss of power

  /// What is on the disk after the first events, of which those since the last flush may be there or not, in sectors
  /// of 512 bytes.
  static func contents(
    of initial: [UInt8], _ events: ArraySlice<Event>, _ random: inout Generator
  ) -> [UInt8] {
    var bytes = initial
    let lastFlush = events.lastIndex { if case .flush = $0 { true } else { false } }
    for (index, event) in zip(events.indices, events) {
      guard let lastFlush, index < lastFlush else {
        lose(event, &bytes, &random)
        continue
      }
      State.apply(event, to: &bytes)
    }
    return bytes
  }

  private static func lose(_ event: Event, _ bytes: inout [UInt8], _ random: inout Generator) {
    switch random.next(below: 4) {
    case 0: break
    case 1, 2: State.apply(event, to: &bytes)
    default:
      guard case .write(let offset, let data) = event else { return }
      var start = 0
      while start < data.count {
        let count = min(512 - (offset + start) % 512, data.count - start)
        if random.next(below: 2) == 0 {
          State.apply(
            .write(offset: offset + start, bytes: Array(data[start..<start + count])), to: &bytes)
        }
        start += count
      }
    }
  }
}
