public import DeviceModel
import HostSystem

/// A network behind a descriptor that carries a `virtio_net_hdr` and a frame in each message: a TAP device of the
/// host's, or a port of a `NetworkSwitch`.
public final class MessageNetwork: NetworkBackend {
  private struct Control: Sendable {
    var thread: HostThread?
    var onRoom: (@Sendable () -> Void)?
    var isFull = false
    var isStopping = false
  }

  private let port: MessageDescriptor
  private let wake: WakeDescriptor
  private let control = Monitor(Control())

  /// The largest frame, and the same with its header.
  private static let mostFrameBytes = 65_536 + 22
  static let mostBytes = NetworkHeader.byteCount + mostFrameBytes

  /// Plugs into a TAP device, which is made if it is not there and the process may do so.
  public init(tapDevice name: String) throws {
    do {
      port = try MessageDescriptor(tapDevice: name)
    } catch {
      throw NetworkError.noDevice(name: name, reason: "\(error)")
    }
    wake = try WakeDescriptor()
  }

  /// Plugs into the switch that listens at `path`.
  public init(switchAt path: String) throws {
    do {
      port = try MessageDescriptor(connectingTo: path)
    } catch {
      throw NetworkError.noSwitch(path: path, reason: "\(error)")
    }
    wake = try WakeDescriptor()
  }

  public var offloads: NetworkOffloads {
    [.checksum, .tcpIPv4, .tcpIPv6, .congestionNotification]
  }
  public var maximumTransmissionUnit: UInt16 { 1500 }

  public func connect(
    accepted: @escaping @Sendable () -> NetworkOffloads,
    receive: @escaping @Sendable (NetworkPacket) -> Bool
  ) throws {
    try control.withLock { state in
      state.thread = try HostThread(name: "network") { [weak self] in
        self?.run(accepted, receive)
      }
    }
  }

  public func send(_ packet: NetworkPacket) -> Bool {
    guard port.send(NetworkHeader.bytes(of: packet), packet.bytes) == .full else { return true }
    control.withLock { $0.isFull = true }
    wake.signal()
    return false
  }

  public func resume() { wake.signal() }

  public func onRoom(_ body: @escaping @Sendable () -> Void) {
    control.withLock { $0.onRoom = body }
  }

  public func disconnect() {
    let thread = control.withLock { state in
      state.isStopping = true
      state.onRoom = nil
      return state.thread.take()
    }
    wake.signal()
    thread?.join()
  }

  private func run(
    _ accepted: @Sendable () -> NetworkOffloads, _ receive: @Sendable (NetworkPacket) -> Bool
  ) {
    var polls = PollSet()
    var refused: [NetworkPacket] = []
    var isOpen = true
    while true {
      let (isStopping, isFull) = control.withLock { ($0.isStopping, $0.isFull) }
      if isStopping { return }
      let taken = refused.firstIndex { !receive($0) } ?? refused.count
      refused.removeFirst(taken)
      polls.removeAll()
      polls.add(wake.descriptor, .readable)
      var wanted: PollSet.Events = isFull ? .writable : []
      // What the guest does not take stays in the host's queue, which drops or holds back.
      if refused.isEmpty { wanted.insert(.readable) }
      // A port whose switch has gone stays silent.
      if isOpen, !wanted.isEmpty { polls.add(port.descriptor, wanted) }
      _ = polls.wait(milliseconds: nil)
      if !polls[0].isEmpty { wake.clear() }
      if isFull, !isOpen || !polls[1].isEmpty { tellRoom() }
      guard refused.isEmpty, isOpen, !polls[1].subtracting(.writable).isEmpty else { continue }
      // Not for ever without a look at the other things.
      for _ in 0..<64 where refused.isEmpty {
        let message = port.receive(
          headerByteCount: NetworkHeader.byteCount, atMost: Self.mostFrameBytes)
        guard let message else {
          isOpen = false
          break
        }
        if message.header.isEmpty { break }
        guard let packet = NetworkHeader.packet(from: message.header, frame: message.body) else {
          continue
        }
        for packet in packet.finished(for: accepted()) where !refused.isEmpty || !receive(packet) {
          refused.append(packet)
        }
      }
    }
  }

  private func tellRoom() {
    let onRoom = control.withLock { state in
      state.isFull = false
      return state.onRoom
    }
    onRoom?()
  }
}
