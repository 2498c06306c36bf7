public import DeviceModel
public import MachineTypes
import Synchronization

/// A network that carries no more than limits allow, by the machine's clock. What is too much is refused for a
/// while: the guest keeps what it sends, and the network holds back or drops what it has for the guest.
public final class ThrottledNetwork: NetworkBackend {
  private struct Direction: Sendable {
    var limiter: RateLimiter
    var timer: (any MachineTimer)?
  }

  private let network: any NetworkBackend
  private let clock: any MachineClock
  private let receiving: Mutex<Direction>
  private let sending: Mutex<Direction>
  private let onRoom = Mutex<(@Sendable () -> Void)?>(nil)

  /// - Parameters:
  ///   - receiving: limits of what comes to the guest.
  ///   - sending: limits of what the guest sends.
  public init(
    _ network: any NetworkBackend, receiving: RateLimits, sending: RateLimits,
    clock: any MachineClock
  ) {
    self.network = network
    self.clock = clock
    self.receiving = Mutex(Direction(limiter: RateLimiter(receiving, at: clock.now)))
    self.sending = Mutex(Direction(limiter: RateLimiter(sending, at: clock.now)))
    let receiveTimer = clock.makeTimer { [weak self] in self?.network.resume() }
    let sendTimer = clock.makeTimer { [weak self] in self?.tellRoom() }
    self.receiving.withLock { $0.timer = receiveTimer }
    self.sending.withLock { $0.timer = sendTimer }
  }

  public var offloads: NetworkOffloads { network.offloads }
  public var maximumTransmissionUnit: UInt16 { network.maximumTransmissionUnit }

  public func connect(
    accepted: @escaping @Sendable () -> NetworkOffloads,
    receive: @escaping @Sendable (NetworkPacket) -> Bool
  ) throws {
    try network.connect(accepted: accepted) { [self] packet in
      admit(packet, receiving) { receive(packet) }
    }
  }

  public func send(_ packet: NetworkPacket) -> Bool {
    admit(packet, sending) { network.send(packet) }
  }

  public func resume() { network.resume() }

  public func onRoom(_ body: @escaping @Sendable () -> Void) {
    onRoom.withLock { $0 = body }
    network.onRoom(body)
  }

  public func disconnect() {
    end(receiving)
    end(sending)
    onRoom.withLock { $0 = nil }
    network.disconnect()
  }

  private func end(_ direction: borrowing Mutex<Direction>) {
    direction.withLock { direction in
      direction.timer?.disarm()
      direction.timer = nil
    }
  }

  private func tellRoom() { onRoom.withLock { $0 }?() }

  /// Passes a packet on unless it is too early; then the timer tells when it is time.
  private func admit(
    _ packet: NetworkPacket, _ direction: borrowing Mutex<Direction>, _ pass: () -> Bool
  ) -> Bool {
    let cost = UInt64(packet.bytes.count)
    let isAdmitted = direction.withLock { direction in
      guard let instant = direction.limiter.admit(cost, at: clock.now) else { return true }
      direction.timer?.arm(at: instant)
      return false
    }
    guard isAdmitted else { return false }
    if pass() { return true }
    direction.withLock { $0.limiter.giveBack(cost) }
    return false
  }
}
