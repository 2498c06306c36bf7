public import FoundationEssentials
import HostSystem

/// Connects a serial line to whoever connects to a Unix socket, one at a time. What the guest sends while nobody
/// is there is lost, as on a line without a terminal; programs of the guest at a console port can see that. A client stays while a machine starts anew.
public final class UnixSocketSerialPortAttachment: SerialPortAttachment {
  private struct State: Sendable {
    var client: StreamDescriptor?
    var report: (@Sendable (Bool) -> Void)?
    var thread: HostThread?
    var isStopping = false
  }

  private let listener: SocketListener
  private let wake: WakeDescriptor
  private let state = Monitor(State())

  /// Listens from now on.
  ///
  /// - Throws: `ConfigurationError.cannotListen`.
  public init(url: URL) throws(ConfigurationError) {
    do {
      listener = try SocketListener(path: url.path, .bytes)
      wake = try WakeDescriptor()
    } catch {
      throw .cannotListen(path: url.path, reason: "\(error)")
    }
  }

  deinit { listener.remove() }

  public func send(_ bytes: [UInt8]) {
    var rest = bytes
    while !rest.isEmpty, let client = state.withLock({ $0.client }) {
      guard let count = client.send(rest) else { return }
      rest.removeFirst(count)
      guard count == 0 else { continue }
      var polls = PollSet()
      polls.add(client.descriptor, .writable)
      _ = polls.wait(milliseconds: 500)
      // What a machine that stops has to say last is not waited for for ever.
      if polls[0].isEmpty { state.withLock { if $0.isStopping { $0.client = nil } } }
    }
  }

  public func connect(receive: @escaping @Sendable ([UInt8]) -> Void) throws {
    state.withLock { $0.isStopping = false }
    let thread = try HostThread(name: "serial-socket") { [weak self] in self?.run(receive) }
    state.withLock { $0.thread = thread }
  }

  public func observeConnection(_ report: @escaping @Sendable (Bool) -> Void) {
    let isConnected = state.withLock { state in
      state.report = report
      return state.client != nil
    }
    report(isConnected)
  }

  public func disconnect() {
    let thread = state.withLock { state in
      state.isStopping = true
      state.report = nil
      return state.thread.take()
    }
    wake.signal()
    thread?.join()
  }

  private func run(_ receive: ([UInt8]) -> Void) {
    var polls = PollSet()
    while true {
      let (isStopping, client) = state.withLock { ($0.isStopping, $0.client) }
      if isStopping { return }
      polls.removeAll()
      polls.add(wake.descriptor, .readable)
      // The next client waits until this one is gone.
      polls.add(client?.descriptor ?? listener.descriptor, .readable)
      _ = polls.wait(milliseconds: nil)
      if !polls[0].isEmpty { wake.clear() }
      guard !polls[1].isEmpty else { continue }
      if let client {
        if let bytes = client.receive(atMost: 4096) {
          if !bytes.isEmpty { receive(bytes) }
        } else {
          change(to: nil)
        }
      } else if let client = listener.acceptStream() {
        change(to: client)
      }
    }
  }

  private func change(to client: StreamDescriptor?) {
    let report = state.withLock { state in
      state.client = client
      return state.report
    }
    report?(client != nil)
  }
}
