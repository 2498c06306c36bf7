import DeviceModel
internal import Glibc
import HostSystem

/// One connection to a remote disk, with the thread that serves it; connects again when it is lost.
final class NBDChannel: Sendable {
  struct Work: Sendable {
    /// `nil` for nothing but the completion.
    var command: NBDHandle.Command?
    var completion: @Sendable (BlockError?) -> Void
  }

  private struct State: Sendable {
    var waiting: [Work] = []
    var isConnected = true
    var isStopping = false
    var thread: HostThread?
  }

  /// How many times a tenth of a second a server may take to answer.
  private static let patience = 300
  /// Between attempts to connect, in seconds.
  private static let mostDelay: UInt32 = 30

  private let server: NBDServer
  let export: NBDExport
  private let wake: WakeDescriptor
  private let state = Monitor(State())
  private let report: @Sendable (NBDEvent) -> Void

  /// Connects. Blocks.
  ///
  /// - Parameter report: told what happens to the connection, on the channel's thread.
  init(_ server: NBDServer, report: @escaping @Sendable (NBDEvent) -> Void) throws(NBDError) {
    self.server = server
    self.report = report
    do throws(HostError) {
      wake = try WakeDescriptor()
    } catch {
      throw NBDError(server: server, reason: "\(error)")
    }
    let handle = try Self.connect(to: server, wake) { false }
    export = try handle.export()
    do throws(HostError) {
      let thread = try HostThread(name: "nbd") { [weak self] in self?.run(handle) }
      state.withLock { $0.thread = thread }
    } catch {
      throw NBDError(server: server, reason: "\(error)")
    }
  }

  var isConnected: Bool { state.withLock { $0.isConnected } }

  /// Begins work; completions come on the channel's thread.
  func submit(_ work: Work) {
    let isFirst = state.withLock { state in
      state.waiting.append(work)
      return state.waiting.count == 1
    }
    if isFirst { wake.signal() }
  }

  /// Has the thread end when everything is done.
  func stop() {
    state.withLock { $0.isStopping = true }
    wake.signal()
  }

  /// Waits until everything is done, and disconnects. Once.
  func finish() {
    stop()
    state.withLock { $0.thread.take() }?.join()
  }

  // MARK: The thread

  private func run(_ first: NBDHandle) {
    var handle = first
    while let reason = serve(handle) {
      state.withLock { $0.isConnected = false }
      report(.disconnected(server, reason: reason))
      guard let next = reconnect() else { return }
      handle = next
      state.withLock { $0.isConnected = true }
      report(.reconnected(server))
    }
  }

  /// Carries out what comes until it is to stop, and returns `nil`, or until the connection is lost.
  private func serve(_ handle: NBDHandle) -> String? {
    var begun: [UInt64: @Sendable (BlockError?) -> Void] = [:]
    var lostBecause: String?
    while lostBecause == nil {
      let (waiting, isStopping) = takeWaiting()
      for work in waiting {
        guard let command = work.command else {
          work.completion(nil)
          continue
        }
        do throws(HostError) {
          begun[try handle.begin(command)] = work.completion
        } catch {
          work.completion(handle.isOver ? .connectionLost : BlockError(nbd: error.errno))
        }
      }
      if isStopping, waiting.isEmpty, begun.isEmpty {
        handle.disconnect()
        return nil
      }
      if !handle.hasEnded { lostBecause = handle.wait(or: wake, milliseconds: nil) }
      for (number, error) in handle.takeEnded() {
        begun.removeValue(forKey: number)?(error == 0 ? nil : BlockError(nbd: error))
      }
    }
    for (_, completion) in begun { completion(.connectionLost) }
    return lostBecause
  }

  private func takeWaiting() -> (waiting: [Work], isStopping: Bool) {
    state.withLock { state in
      defer { state.waiting = [] }
      return (state.waiting, state.isStopping)
    }
  }

  /// Tries until it succeeds; `nil` when it is to stop. What is asked meanwhile fails.
  private func reconnect() -> NBDHandle? {
    var delay: UInt32 = 1
    while true {
      do throws(NBDError) {
        let handle = try Self.connect(to: server, wake) { self.failWaiting() }
        let export = try handle.export()
        guard export == self.export else {
          throw NBDError(server: server, reason: "the disk has changed")
        }
        return handle
      } catch {
        if failWaiting() { return nil }
        report(
          .cannotReconnect(server, reason: error.reason, nextAttemptInSeconds: delay))
      }
      for _ in 0..<10 * delay {
        var polls = PollSet()
        polls.add(wake.descriptor, .readable)
        _ = polls.wait(milliseconds: 100)
        if !polls[0].isEmpty { wake.clear() }
        if failWaiting() { return nil }
      }
      delay = min(2 * delay, Self.mostDelay)
    }
  }

  /// Returns whether it is to stop.
  @discardableResult
  private func failWaiting() -> Bool {
    let (waiting, isStopping) = takeWaiting()
    for work in waiting { work.completion(.connectionLost) }
    return isStopping
  }

  /// - Parameter isCancelled: asked now and then.
  private static func connect(
    to server: NBDServer, _ wake: WakeDescriptor, isCancelled: () -> Bool
  ) throws(NBDError) -> NBDHandle {
    let handle = try NBDHandle(server)
    var waited = 0
    while handle.isConnecting {
      if let reason = handle.wait(or: wake, milliseconds: 100) {
        throw NBDError(server: server, reason: reason)
      }
      waited += 1
      guard !isCancelled(), waited < patience else {
        throw NBDError(server: server, reason: "it does not answer")
      }
    }
    guard !handle.isOver else { throw NBDError(server: server, reason: NBDHandle.closed) }
    return handle
  }
}

extension BlockError {
  static let connectionLost = BlockError.host(HostError(call: "nbd", errno: ENOTCONN))

  /// The meaning of an error number that a server sent, or that libnbd found.
  init(nbd error: Int32) {
    switch error {
    case ENOSPC, EDQUOT: self = .noSpace
    case ENOTSUP: self = .unsupported
    case EPERM, EROFS: self = .readOnly
    default: self = .host(HostError(call: "nbd", errno: error))
    }
  }
}
