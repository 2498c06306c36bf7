public import DeviceModel
import HostSystem

/// A network of the guest's own behind network address translation, without privileges: DHCP, DNS and
/// TCP, UDP and ICMP echo to wherever the host's user can reach (libslirp).
///
/// The guest is 10.0.2.15, its gateway, which is the host's loopback, 10.0.2.2, and its name server 10.0.2.3.
public final class UserNetwork: NetworkBackend {
  public struct Configuration: Hashable, Sendable {
    public var forwards: [PortForward]
    /// The guest reaches nothing but what ports are forwarded for.
    public var isRestricted: Bool
    public var hasIPv6: Bool

    public init(
      forwards: [PortForward] = [], isRestricted: Bool = false, hasIPv6: Bool = false
    ) {
      self.forwards = forwards
      self.isRestricted = isRestricted
      self.hasIPv6 = hasIPv6
    }
  }

  /// Connections to a port of the host that lead to one of the guest's.
  public struct PortForward: Hashable, Sendable {
    public enum Transport: String, Hashable, Sendable {
      case tcp
      case udp
    }

    public var transport: Transport
    public var hostAddress: IPv4Address
    public var hostPort: UInt16
    public var guestPort: UInt16

    public init(
      _ transport: Transport = .tcp, hostAddress: IPv4Address = .loopback, hostPort: UInt16,
      guestPort: UInt16
    ) {
      self.transport = transport
      self.hostAddress = hostAddress
      self.hostPort = hostPort
      self.guestPort = guestPort
    }
  }

  private let outgoing = PacketQueue()
  private let wake: WakeDescriptor
  private let control: Monitor<Control>

  private struct Control: Sendable {
    /// Until it is connected, when the thread takes it.
    var stack: SlirpStack?
    var thread: HostThread?
    var isStopping = false
  }

  /// - Throws: `NetworkError.cannotForward` where a port of the host is taken or not allowed.
  public init(_ configuration: Configuration) throws {
    wake = try WakeDescriptor()
    control = Monitor(Control(stack: try SlirpStack(configuration)))
  }

  public var offloads: NetworkOffloads { [.checksum] }
  public var maximumTransmissionUnit: UInt16 { SlirpStack.maximumTransmissionUnit }

  public func connect(
    accepted: @escaping @Sendable () -> NetworkOffloads,
    receive: @escaping @Sendable (NetworkPacket) -> Bool
  ) throws {
    try control.withLock { state in
      guard let stack = state.stack.take() else { return }
      state.thread = try HostThread(name: "user network") { [outgoing, wake, control] in
        stack.run(
          outgoing: outgoing, wake: wake, deliver: receive,
          isStopping: { control.withLock { $0.isStopping } })
      }
    }
  }

  public func send(_ packet: NetworkPacket) -> Bool {
    switch outgoing.add(packet) {
    case .first: wake.signal()
    case .added: break
    case .refused: return false
    }
    return true
  }

  public func resume() { wake.signal() }

  public func onRoom(_ body: @escaping @Sendable () -> Void) { outgoing.onRoom(body) }

  public func disconnect() {
    let thread = control.withLock { state in
      state.isStopping = true
      return state.thread.take()
    }
    wake.signal()
    thread?.join()
    outgoing.close()
  }
}

/// Why a network cannot be had.
public enum NetworkError: Error, Hashable, Sendable {
  case cannotForward(UserNetwork.PortForward, reason: String)
  case stackFailed
  /// The host's network device cannot be opened.
  case noDevice(name: String, reason: String)
  /// No switch listens at the path.
  case noSwitch(path: String, reason: String)
}

extension NetworkError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .cannotForward(let forward, let reason):
      """
      \(forward.transport.rawValue) port \(forward.hostPort) of \(forward.hostAddress) cannot be forwarded \
      (\(reason)): choose another port of the host
      """
    case .stackFailed: "the user-mode network stack (libslirp) did not start: is there memory left?"
    case .noDevice(let name, let reason):
      """
      the network device \(name) cannot be opened (\(reason)): make it with \
      `ip tuntap add \(name) mode tap user $USER`, or run as root
      """
    case .noSwitch(let path, let reason):
      "no switch answers at \(path) (\(reason)): start one with `martlet switch \(path)`"
    }
  }
}
