import DeviceModel
import GuestMemory
import MachineTypes
import MartletTesting
import Synchronization
import Testing

@testable import VirtioDevices

/// Sockets that only write down what is asked of them.
final class RecordingSockets: SocketBackend {
  enum Call: Hashable {
    case start, reset
    case open(SocketConnection, UInt32)
    case accept(SocketConnection, UInt32)
    case send(SocketConnection, [UInt8])
    case finish(SocketConnection, SocketDirections)
    case resume(SocketConnection?)
    case drop(SocketConnection)
  }

  private let recorded = Mutex<[Call]>([])

  /// What was asked since this was last called.
  func take() -> [Call] {
    recorded.withLock { calls in
      defer { calls = [] }
      return calls
    }
  }

  private func add(_ call: Call) { recorded.withLock { $0.append(call) } }

  func connect(submit: @escaping @Sendable (SocketEvent) -> Int) throws {}
  func start() { add(.start) }
  func open(_ connection: SocketConnection, port: UInt32) { add(.open(connection, port)) }
  func accept(_ connection: SocketConnection, hostPort: UInt32) {
    add(.accept(connection, hostPort))
  }
  func send(_ bytes: [UInt8], on connection: SocketConnection) { add(.send(connection, bytes)) }
  func finish(_ connection: SocketConnection, _ directions: SocketDirections) {
    add(.finish(connection, directions))
  }
  func resume(_ connection: SocketConnection?) { add(.resume(connection)) }
  func drop(_ connection: SocketConnection) { add(.drop(connection)) }
  func reset() { add(.reset) }
  func disconnect() {}
}

struct SocketFixture {
  let sockets = RecordingSockets()
  var guest: DeviceFixture<SocketDevice>
  /// The room that the guest says it has.
  var room: UInt32 = 1 << 20

  init() throws {
    guest = try DeviceFixture(SocketDevice(sockets, guestCID: 3))
    try guest.give(0, count: 8)
    _ = sockets.take()
  }

  mutating func send(
    _ operation: SocketHeader.Operation, guest port: UInt32 = 1024, host hostPort: UInt32 = 80,
    _ data: [UInt8] = [], change: (inout SocketHeader) -> Void = { _ in }
  ) throws {
    var header = SocketHeader(
      sourceCID: 3, targetCID: 2, sourcePort: port, targetPort: hostPort, operation)
    header.dataByteCount = UInt32(data.count)
    header.bufferByteCount = room
    change(&header)
    try guest.send(1, header.bytes + data)
  }

  /// The packets that the guest got since, with fresh buffers for more.
  mutating func packets() throws -> [(header: SocketHeader, data: [UInt8])] {
    let used = try guest.takeUsed(0)
    try guest.give(0, count: used.count)
    return try used.map {
      (try #require(SocketHeader($0)), Array($0.dropFirst(SocketHeader.byteCount)))
    }
  }

  mutating func operations() throws -> [SocketHeader.Operation] {
    try packets().map { try #require(SocketHeader.Operation(rawValue: $0.header.operation)) }
  }

  mutating func host(_ event: SocketEvent) -> Int { guest.receive(.socket(event)) }

  /// A connection that the guest began.
  mutating func connect(guest port: UInt32 = 1024) throws -> SocketConnection {
    try send(.request, guest: port)
    guard case .open(let number, 80)? = sockets.take().last else {
      throw VirtioError.badRequest
    }
    _ = host(.opened(number))
    #expect(try operations() == [.response])
    return number
  }
}

@Suite struct SocketDeviceTests {
  @Test func `the driver finds its address and three queues`() throws {
    let fixture = try SocketFixture()
    #expect(fixture.guest.core.device.deviceType == 19)
    #expect(fixture.guest.core.device.configuration == [3, 0, 0, 0, 0, 0, 0, 0])
    #expect(fixture.guest.core.device.queueSizes.count == 3)
  }

  @Test func `the guest connects, and data goes both ways`() throws {
    var fixture = try SocketFixture()
    let number = try fixture.connect()
    try fixture.send(.readWrite, Array("to the host".utf8))
    #expect(fixture.sockets.take() == [.send(number, Array("to the host".utf8))])
    #expect(fixture.host(.received(number, bytes: Array("to the guest".utf8))) == 12)
    let packet = try #require(try fixture.packets().first)
    #expect(packet.data == Array("to the guest".utf8))
    #expect(packet.header.operation == 5 && packet.header.dataByteCount == 12)
    #expect(packet.header.sourceCID == 2 && packet.header.targetCID == 3)
    #expect(packet.header.sourcePort == 80 && packet.header.targetPort == 1024)
    #expect(packet.header.bufferByteCount == GuestConnection.bufferByteCount)
    #expect(fixture.guest.needsReset == false)
  }

  @Test func `a host without a listener refuses`() throws {
    var fixture = try SocketFixture()
    try fixture.send(.request)
    _ = fixture.host(.refused(SocketConnection(fromGuest: 0)))
    #expect(try fixture.operations() == [.reset])
    try fixture.send(.readWrite, [1])
    #expect(try fixture.operations() == [.reset])
  }

  @Test func `the host connects from ports of its own`() throws {
    var fixture = try SocketFixture()
    let first = SocketConnection(fromHost: 0)
    let second = SocketConnection(fromHost: 1)
    _ = fixture.host(.connect(first, port: 52))
    _ = fixture.host(.connect(second, port: 52))
    let requests = try fixture.packets().map(\.header)
    #expect(requests.map(\.operation) == [1, 1])
    #expect(requests.map(\.targetPort) == [52, 52])
    #expect(requests.map(\.sourcePort) == [1 << 30, 1 << 30 + 1])
    try fixture.send(.response, guest: 52, host: 1 << 30)
    #expect(fixture.sockets.take() == [.accept(first, 1 << 30)])
    try fixture.send(.reset, guest: 52, host: 1 << 30 + 1)
    #expect(fixture.sockets.take() == [.drop(second)])
    #expect(try fixture.operations() == [])
    #expect(fixture.host(.received(first, bytes: [7])) == 1)
    #expect(try fixture.packets().map(\.data) == [[7]])
  }

  @Test func `data stays with the host while the guest has no room, and goes on after`() throws {
    var fixture = try SocketFixture()
    fixture.room = 100
    let number = try fixture.connect()
    #expect(fixture.host(.received(number, bytes: Array(repeating: 1, count: 150))) == 100)
    #expect(try fixture.operations() == [.readWrite, .creditRequest])
    #expect(fixture.host(.received(number, bytes: [2])) == 0)
    #expect(try fixture.operations() == [])
    try fixture.send(.creditUpdate) { $0.forwardedByteCount = 40 }
    #expect(fixture.sockets.take() == [.resume(number)])
    #expect(fixture.host(.received(number, bytes: Array(repeating: 1, count: 50))) == 40)
    // A guest that claims to have passed on more than it got has no room either.
    try fixture.send(.creditUpdate) { $0.forwardedByteCount = 5000 }
    #expect(fixture.host(.received(number, bytes: [2])) == 0)
  }

  @Test func `data stays with the host while there are no buffers`() throws {
    var fixture = try SocketFixture()
    let number = try fixture.connect()
    let bytes = [UInt8](repeating: 3, count: 40_000)
    let room = 8 * (4096 - SocketHeader.byteCount)
    #expect(fixture.host(.received(number, bytes: bytes)) == room)
    #expect(fixture.host(.received(number, bytes: bytes)) == 0)
    #expect(fixture.sockets.take() == [])
    #expect(try fixture.packets().map(\.data.count).reduce(0, +) == room)
    #expect(fixture.sockets.take() == [.resume(nil)])
    #expect(fixture.host(.received(number, bytes: [9])) == 1)
  }

  @Test func `the guest hears of its room in time, and is cut off when it sends beyond`() throws {
    var fixture = try SocketFixture()
    let number = try fixture.connect()
    let piece = [UInt8](repeating: 1, count: 3000)
    let all = Int(GuestConnection.bufferByteCount)
    for _ in 0..<all / 3000 { try fixture.send(.readWrite, piece) }
    _ = fixture.sockets.take()
    _ = fixture.host(.sent(number, byteCount: 60_000))
    let update = try #require(try fixture.packets().first?.header)
    #expect(update.operation == 6 && update.forwardedByteCount == 60_000)
    for _ in 0..<20 { try fixture.send(.readWrite, piece) }
    #expect(try fixture.operations() == [])
    try fixture.send(.readWrite, [UInt8](repeating: 1, count: 3900))
    #expect(try fixture.operations() == [.reset])
    #expect(fixture.sockets.take().last == .drop(number))
  }

  @Test func `a request for credit is answered`() throws {
    var fixture = try SocketFixture()
    let number = try fixture.connect()
    try fixture.send(.readWrite, [1, 2, 3])
    _ = fixture.host(.sent(number, byteCount: 3))
    try fixture.send(.creditRequest)
    let answer = try #require(try fixture.packets().first?.header)
    #expect(answer.operation == 6 && answer.forwardedByteCount == 3)
  }

  @Test func `each side can end alone, and a reset follows the last word`() throws {
    var fixture = try SocketFixture()
    let number = try fixture.connect()
    _ = fixture.host(.ended(number, .sending))
    let end = try #require(try fixture.packets().first?.header)
    #expect(end.operation == 4 && end.flags == 2)
    try fixture.send(.readWrite, [1])
    try fixture.send(.shutdown) { $0.flags = 2 }
    #expect(fixture.sockets.take() == [.send(number, [1]), .finish(number, .sending)])
    // What was sent before still arrives; then both directions are done with.
    _ = fixture.host(.ended(number, .both))
    #expect(try fixture.packets().map(\.header.flags) == [3])
    try fixture.send(.shutdown) { $0.flags = 3 }
    #expect(try fixture.operations() == [.reset])
    #expect(fixture.guest.core.device.connections.isEmpty)
    #expect(fixture.guest.core.device.numbers.isEmpty)
  }

  @Test func `data after the guest's own end is refused`() throws {
    var fixture = try SocketFixture()
    let number = try fixture.connect()
    try fixture.send(.shutdown) { $0.flags = 2 }
    try fixture.send(.readWrite, [1])
    #expect(try fixture.operations() == [.reset])
    #expect(fixture.sockets.take() == [.finish(number, .sending), .drop(number)])
  }

  @Test(arguments: [
    SocketHeader.Operation.response, .shutdown, .readWrite, .creditUpdate, .creditRequest,
  ])
  func `packets of no connection are answered by a reset`(
    operation: SocketHeader.Operation
  ) throws {
    var fixture = try SocketFixture()
    try fixture.send(operation)
    #expect(try fixture.operations() == [.reset])
    try fixture.send(.reset)
    #expect(try fixture.operations() == [])
    #expect(fixture.sockets.take() == [])
  }

  @Test func `packets of other types, to other hosts and from other guests open nothing`() throws {
    var fixture = try SocketFixture()
    try fixture.send(.request) { $0.type = 2 }
    let answer = try #require(try fixture.packets().first?.header)
    #expect(answer.operation == 3 && answer.type == 2)
    try fixture.send(.request) { $0.targetCID = 7 }
    #expect(try fixture.packets().first?.header.sourceCID == 7)
    try fixture.send(.request) { $0.sourceCID = 4 }
    try fixture.send(.request) { $0.operation = 99 }
    #expect(try fixture.operations() == [.reset])
    #expect(fixture.sockets.take() == [])
  }

  @Test func `a second request ends the connection`() throws {
    var fixture = try SocketFixture()
    let number = try fixture.connect()
    try fixture.send(.request)
    #expect(try fixture.operations() == [.reset])
    #expect(fixture.sockets.take() == [.drop(number)])
  }

  @Test func `a length beyond the buffer makes the device ask for a reset`() throws {
    var fixture = try SocketFixture()
    _ = try fixture.connect()
    try fixture.send(.readWrite) { $0.dataByteCount = 1 }
    #expect(fixture.guest.needsReset)
    var short = try SocketFixture()
    try short.guest.send(1, Array(repeating: 0, count: 43))
    #expect(short.guest.needsReset)
  }

  @Test func `a reset drops all connections, and late events with them`() throws {
    var fixture = try SocketFixture()
    let number = try fixture.connect()
    fixture.guest.reset()
    #expect(fixture.sockets.take() == [.reset])
    _ = fixture.host(.connect(SocketConnection(fromHost: 3), port: 1))
    #expect(fixture.sockets.take() == [.drop(SocketConnection(fromHost: 3))])
    fixture.guest.start(features: 0)
    #expect(fixture.sockets.take() == [.start])
    try fixture.guest.give(0, count: 8)
    #expect(fixture.host(.received(number, bytes: [1, 2])) == 2)
    _ = fixture.host(.ended(number, .both))
    _ = fixture.host(.sent(number, byteCount: 5))
    #expect(try fixture.operations() == [])
    #expect(try fixture.connect() != number)
  }

  @Test func `a reset of the transport is told once there is a buffer for it`() throws {
    var fixture = try SocketFixture()
    let number = try fixture.connect()
    _ = fixture.host(.transportReset)
    #expect(fixture.sockets.take() == [.drop(number)])
    #expect(try fixture.guest.takeUsed(2) == [])
    try fixture.guest.give(2, count: 2, room: 8)
    #expect(try fixture.guest.takeUsed(2) == [[0, 0, 0, 0]])
  }

  @Test func `connections are limited`() throws {
    var fixture = try SocketFixture()
    for port in 0..<UInt32(SocketDevice.mostConnections) {
      try fixture.send(.request, guest: port)
    }
    try fixture.send(.request, guest: 5000)
    #expect(try fixture.operations() == [.reset])
    let number = SocketConnection(fromHost: 1)
    _ = fixture.sockets.take()
    _ = fixture.host(.connect(number, port: 1))
    #expect(fixture.sockets.take() == [.drop(number)])
  }

  @Test func `a guest that does not read is not answered for ever`() throws {
    var fixture = try SocketFixture()
    // Eight find a buffer; five more than can wait are not taken.
    for _ in 0..<8 + SocketDevice.mostOutgoing + 5 { try fixture.send(.creditRequest) }
    #expect(try fixture.guest.takeUsed(1).count == 8 + SocketDevice.mostOutgoing)
    #expect(fixture.guest.core.device.outgoing.count == SocketDevice.mostOutgoing)
    #expect(try fixture.operations().count == 8)
    #expect(try fixture.guest.takeUsed(1).count == 5)
    #expect(!fixture.guest.needsReset)
  }

  @Test func `random packets and random events never trap`() throws {
    let random = SeededEntropy(seed: 19)
    for _ in 0..<60 {
      var fixture = try SocketFixture()
      for _ in 0..<300 {
        switch random.next() % 8 {
        case 0: _ = try? fixture.packets()
        case 1:
          let place = DeviceFixture<SocketDevice>.base(Int(random.next() % 3))
          try fixture.guest.memory.store(
            random.next(), at: fixture.guest.at(place + random.next() % 0x3000))
        case 2, 3:
          let number = SocketConnection(rawValue: random.next() % 8)
          let bytes = [UInt8](repeating: 0, count: Int(random.next() % 9000))
          let directions = SocketDirections(rawValue: UInt8(random.next() % 4))
          let events: [SocketEvent] = [
            .connect(number, port: UInt32(random.next() % 4)), .opened(number), .refused(number),
            .received(number, bytes: bytes), .ended(number, directions), .transportReset,
            .sent(number, byteCount: UInt32(truncatingIfNeeded: random.next())),
          ]
          _ = fixture.host(events[Int(random.next() % 7)])
        default:
          try fixture.send(
            .request, guest: UInt32(random.next() % 4), host: UInt32(1 << 30 + random.next() % 4),
            [UInt8](repeating: 1, count: Int(random.next() % 3000))
          ) { header in
            header.operation = UInt16(random.next() % 9)
            header.flags = UInt32(random.next() % 8)
            header.bufferByteCount = UInt32(truncatingIfNeeded: random.next() >> random.next() % 32)
            header.forwardedByteCount = UInt32(random.next() % 5000)
          }
        }
        if fixture.guest.needsReset {
          fixture.guest.reset()
          fixture.guest.start(features: 0)
        }
      }
    }
  }
}
