import Synchronization

/// Keeps what the guest sends, and lets the program type. For tests and for driving a guest.
public final class MemorySerialPortAttachment: SerialPortAttachment {
  private struct State {
    var output: [UInt8] = []
    var receive: (@Sendable ([UInt8]) -> Void)?
    /// Typed before the machine was started.
    var early: [UInt8] = []
    var observers: [Int: AsyncStream<Void>.Continuation] = [:]
    var lastObserver = 0
  }

  private let state = Mutex(State())

  public init() {}

  /// All that the guest has sent.
  public var output: [UInt8] { state.withLock { $0.output } }

  /// `output` as UTF-8, with what is none replaced.
  public var text: String { String(decoding: output, as: UTF8.self) }

  /// Whether somebody waits for a text.
  var hasObservers: Bool { state.withLock { !$0.observers.isEmpty } }

  /// Sends keys to the guest.
  public func type(_ text: String) {
    let bytes = Array(text.utf8)
    let receive = state.withLock { state in
      if state.receive == nil { state.early += bytes }
      return state.receive
    }
    receive?(bytes)
  }

  /// Waits until the guest has sent a text, and returns whether it has: not when the task is
  /// cancelled or the machine stops before it.
  public func waits(for wanted: String) async -> Bool {
    let (changes, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let identifier = state.withLock { state in
      state.lastObserver += 1
      state.observers[state.lastObserver] = continuation
      return state.lastObserver
    }
    defer { state.withLock { $0.observers[identifier] = nil } }
    if text.contains(wanted) { return true }
    for await _ in changes where text.contains(wanted) { return true }
    return text.contains(wanted)
  }

  public func send(_ bytes: [UInt8]) {
    let observers = state.withLock { state in
      state.output += bytes
      return Array(state.observers.values)
    }
    for observer in observers { observer.yield() }
  }

  public func connect(receive: @escaping @Sendable ([UInt8]) -> Void) {
    let early = state.withLock { state in
      state.receive = receive
      defer { state.early = [] }
      return state.early
    }
    if !early.isEmpty { receive(early) }
  }

  public func disconnect() {
    let observers = state.withLock { state in
      state.receive = nil
      return Array(state.observers.values)
    }
    for observer in observers { observer.finish() }
  }
}
