import DeviceModel
import MartletTesting
import Synchronization
import Testing

@testable import Networks

/// A network that takes all that is sent, and delivers what the test gives it.
private final class ScriptedNetwork: NetworkBackend {
  private struct State: Sendable {
    var sent: [NetworkPacket] = []
    var held: [NetworkPacket] = []
    var receive: (@Sendable (NetworkPacket) -> Bool)?
    var isFull = false
  }
  private let state = Mutex(State())

  var offloads: NetworkOffloads { [] }
  var maximumTransmissionUnit: UInt16 { 1500 }
  var sentCount: Int { state.withLock { $0.sent.count } }
  var heldCount: Int { state.withLock { $0.held.count } }
  var isFull: Bool {
    get { state.withLock { $0.isFull } }
    set { state.withLock { $0.isFull = newValue } }
  }

  func connect(
    accepted: @escaping @Sendable () -> NetworkOffloads,
    receive: @escaping @Sendable (NetworkPacket) -> Bool
  ) throws { state.withLock { $0.receive = receive } }

  func send(_ packet: NetworkPacket) -> Bool {
    state.withLock { state in
      if !state.isFull { state.sent.append(packet) }
      return !state.isFull
    }
  }

  func deliver(_ packets: [NetworkPacket]) {
    state.withLock { $0.held += packets }
    resume()
  }

  func resume() {
    while true {
      let (packet, receive) = state.withLock { ($0.held.first, $0.receive) }
      guard let packet, let receive, receive(packet) else { return }
      _ = state.withLock { $0.held.removeFirst() }
    }
  }

  func onRoom(_ body: @escaping @Sendable () -> Void) {}
  func disconnect() {}
}

@Suite struct ThrottledNetworkTests {
  private let clock = FakeClock()
  private let inner = ScriptedNetwork()
  private let packet = NetworkPacket(bytes: [UInt8](repeating: 0, count: 1000))

  @Test func `a guest sends at the rate, and is told when it may go on`() {
    let network = ThrottledNetwork(
      inner, receiving: RateLimits(),
      sending: RateLimits(bytes: RateLimit(perSecond: 2000, burst: 3000)), clock: clock)
    let roomCount = Mutex(0)
    network.onRoom { roomCount.withLock { $0 += 1 } }
    for _ in 0..<3 { #expect(network.send(packet)) }
    #expect(!network.send(packet))
    #expect(roomCount.withLock { $0 } == 0)
    clock.advance(milliseconds: 500)
    #expect(roomCount.withLock { $0 } == 1)
    #expect(network.send(packet))
    #expect(!network.send(packet))
    #expect(inner.sentCount == 4)
    network.disconnect()
    clock.advance(seconds: 5)
    #expect(roomCount.withLock { $0 } == 1)
  }

  @Test func `what the network does not take costs nothing`() {
    let network = ThrottledNetwork(
      inner, receiving: RateLimits(),
      sending: RateLimits(operations: RateLimit(perSecond: 1, burst: 1)), clock: clock)
    inner.isFull = true
    for _ in 0..<5 { #expect(!network.send(packet)) }
    inner.isFull = false
    #expect(network.send(packet))
    #expect(!network.send(packet))
  }

  @Test func `the network holds back what comes too fast`() throws {
    let network = ThrottledNetwork(
      inner, receiving: RateLimits(operations: RateLimit(perSecond: 10, burst: 1)),
      sending: RateLimits(), clock: clock)
    let received = Mutex(0)
    try network.connect(accepted: { [] }) { _ in
      received.withLock { $0 += 1 }
      return true
    }
    inner.deliver([NetworkPacket](repeating: packet, count: 8))
    #expect(received.withLock { $0 } == 1)
    clock.advance(milliseconds: 300)
    #expect(received.withLock { $0 } == 4)
    clock.advance(seconds: 1)
    #expect(received.withLock { $0 } == 8)
    #expect(inner.heldCount == 0)
    for _ in 0..<3 { #expect(network.send(packet)) }
  }
}
