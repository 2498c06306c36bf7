import DeviceModel
import HostSystem

/// The bridge's thread, which alone reads and writes its sockets. No lock is held while an event is handed in.
extension UnixSocketBridge {
  typealias Submit = @Sendable (SocketEvent) -> Int

  private struct Ready {
    let number: SocketConnection
    let stream: StreamDescriptor
    let place: Int
  }

  func run(_ submit: Submit) {
    var polls = PollSet()
    /// The process may have no descriptors left for what connects.
    var isExhausted = false
    while true {
      for number in control.withLock({ $0.wanted.take() }) { open(number, submit) }
      for number in control.withLock({ $0.unsettled }) { settle(number, submit) }
      for number in control.withLock({ $0.withInput }) { deliver(number, submit) }
      polls.removeAll()
      polls.add(wake.descriptor, .readable)
      polls.add(listener.descriptor, isExhausted ? [] : .readable)
      let (isStopping, ready) = control.withLock { control in
        (control.isStopping, Self.addSockets(of: control, to: &polls))
      }
      if isStopping { return }
      _ = polls.wait(milliseconds: isExhausted ? 100 : nil)
      isExhausted = false
      if !polls[0].isEmpty { wake.clear() }
      if !polls[1].isEmpty { isExhausted = !accept() }
      for socket in ready where !polls[socket.place].isEmpty {
        serve(socket.number, socket.stream, polls[socket.place], submit)
      }
    }
  }

  private static func addSockets(of control: Control, to polls: inout PollSet) -> [Ready] {
    control.sockets.compactMap { number, socket in
      guard let stream = socket.stream, let events = socket.events else { return nil }
      return Ready(number: number, stream: stream, place: polls.add(stream.descriptor, events))
    }
  }

  // MARK: Beginning

  /// Connects the guest to a socket of the host.
  private func open(_ number: SocketConnection, _ submit: Submit) {
    guard case .opening(let port)? = control.withLock({ $0.sockets[number]?.phase }) else { return }
    let stream = try? StreamDescriptor(connectingTo: "\(path)_\(port)")
    let isThere = control.withLock { control in
      // The guest may have given up.
      guard control.sockets[number] != nil else { return false }
      control.sockets[number] = stream.map { BridgedSocket(.established, $0) }
      return true
    }
    if isThere { _ = submit(stream == nil ? .refused(number) : .opened(number)) }
  }

  /// Takes what connects to the bridge's socket; `false` if it cannot.
  private func accept() -> Bool {
    guard let stream = listener.acceptStream() else { return false }
    control.withLock { control in
      // Closed at once where there is no guest, or no room.
      guard control.isGuestReady, control.sockets.count < Self.mostSockets else { return }
      control.sockets[SocketConnection(fromHost: control.nextNumber)] =
        BridgedSocket(.command([]), stream)
      control.nextNumber &+= 1
    }
    return true
  }

  /// Reads `CONNECT <port>` and a newline, and keeps what follows.
  private func readCommand(
    _ number: SocketConnection, _ stream: StreamDescriptor, _ begun: [UInt8], _ submit: Submit
  ) {
    guard let more = stream.receive(atMost: Self.mostBytes) else { return drop(number) }
    let text = begun + more
    guard let end = text.prefix(Self.mostCommandBytes).firstIndex(of: 10) else {
      if text.count >= Self.mostCommandBytes { return drop(number) }
      control.withLock { $0.sockets[number]?.phase = .command(text) }
      return
    }
    guard let port = Self.port(ofCommand: text[..<end]) else { return drop(number) }
    control.withLock {
      $0.sockets[number]?.phase = .offered
      $0.sockets[number]?.input = Array(text[(end + 1)...])
    }
    _ = submit(.connect(number, port: port))
  }

  private static let mostCommandBytes = 64

  static func port(ofCommand line: ArraySlice<UInt8>) -> UInt32? {
    let words = String(decoding: line, as: UTF8.self).split(separator: " ")
    guard words.count == 2, words[0].uppercased() == "CONNECT" else { return nil }
    return UInt32(words[1].trimmingSuffix("\r"))
  }

  // MARK: Carrying

  private func serve(
    _ number: SocketConnection, _ stream: StreamDescriptor, _ events: PollSet.Events,
    _ submit: Submit
  ) {
    guard let socket = control.withLock({ $0.sockets[number] }) else { return }
    switch socket.phase {
    case .opening: break
    case .command(let begun): readCommand(number, stream, begun, submit)
    case .offered: end(number, .both, submit)
    case .established:
      let isHungUp = events.contains(.hangUp) || events.contains(.error)
      if socket.isInputOver, isHungUp { return end(number, .both, submit) }
      if !socket.output.isEmpty, events.contains(.writable) || isHungUp {
        write(number, stream, socket.output, submit)
      }
      let wantsInput = !socket.isInputOver && !socket.isHeldBack && socket.input.isEmpty
      if wantsInput, events.contains(.readable) || isHungUp {
        read(number, stream, isHungUp, submit)
      }
    }
  }

  private func write(
    _ number: SocketConnection, _ stream: StreamDescriptor, _ output: [UInt8], _ submit: Submit
  ) {
    guard let count = stream.send(output) else {
      control.withLock {
        $0.sockets[number]?.output = []
        $0.sockets[number]?.isOutputOver = true
      }
      return end(number, .receiving, submit)
    }
    let guestCount = control.withLock { $0.sockets[number]?.take(count) } ?? 0
    if guestCount > 0 { _ = submit(.sent(number, byteCount: UInt32(guestCount))) }
  }

  private func read(
    _ number: SocketConnection, _ stream: StreamDescriptor, _ isHungUp: Bool, _ submit: Submit
  ) {
    guard let bytes = stream.receive(atMost: Self.mostBytes) else {
      control.withLock { $0.sockets[number]?.isInputOver = true }
      return end(number, isHungUp ? .both : .sending, submit)
    }
    // The guest may have ceased to listen.
    control.withLock { control in
      if control.sockets[number]?.isInputOver == false { control.sockets[number]?.input = bytes }
    }
    deliver(number, submit)
  }

  /// Hands in what was read.
  private func deliver(_ number: SocketConnection, _ submit: Submit) {
    guard let socket = control.withLock({ $0.sockets[number] }), !socket.input.isEmpty else {
      return
    }
    let taken = submit(.received(number, bytes: socket.input))
    let rest = Array(socket.input.dropFirst(max(0, taken)))
    control.withLock { control in
      guard var now = control.sockets[number], !now.isInputOver else { return }
      now.input = rest
      // Unless the device has room again since it was asked.
      now.isHeldBack = !rest.isEmpty && now.resumptions == socket.resumptions
      control.sockets[number] = now
    }
  }

  // MARK: Ending

  /// Tells the device what the host does no more; with both directions the socket is done with.
  private func end(
    _ number: SocketConnection, _ directions: SocketDirections, _ submit: Submit
  ) {
    let isKnown = control.withLock { control in
      guard control.sockets[number] != nil else { return false }
      if directions == .both { control.sockets[number] = nil }
      return true
    }
    if isKnown { _ = submit(.ended(number, directions)) }
  }

  /// Ends what has nothing left to carry.
  private func settle(_ number: SocketConnection, _ submit: Submit) {
    let isDone = control.withLock { control in
      guard var socket = control.sockets[number] else { return false }
      if socket.endsOutput, socket.output.isEmpty, !socket.isOutputOver {
        socket.isOutputOver = true
        socket.stream?.endSending()
      }
      control.sockets[number] = socket
      return socket.isInputOver && socket.isOutputOver
    }
    if isDone { end(number, .both, submit) }
  }
}

extension UnixSocketBridge.Control {
  /// The connections that `settle` may have something to do for.
  fileprivate var unsettled: [SocketConnection] {
    sockets.filter { _, socket in
      socket.endsOutput && socket.output.isEmpty && !socket.isOutputOver
        || socket.isInputOver && socket.isOutputOver
    }.map(\.key)
  }

  /// The connections with input that the device may take.
  fileprivate var withInput: [SocketConnection] {
    sockets.filter { _, socket in
      guard case .established = socket.phase else { return false }
      return !socket.input.isEmpty && !socket.isHeldBack
    }.map(\.key)
  }
}

extension Array {
  /// The elements, which are then gone.
  fileprivate mutating func take() -> [Element] {
    defer { self = [] }
    return self
  }
}

extension Substring {
  fileprivate func trimmingSuffix(_ suffix: String) -> Substring {
    hasSuffix(suffix) ? dropLast(suffix.count) : self
  }
}
