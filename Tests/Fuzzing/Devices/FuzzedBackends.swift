import DeviceModel
import HostSystem
import Synchronization

/// Finishes requests on a thread of its own, as backends do: devices wait for it in a reset.
final class CompletionThread: Sendable {
  static let shared = CompletionThread()

  private struct State: Sendable {
    var waiting: [@Sendable () -> Void] = []
    var isBusy = false
  }

  private let state = Monitor(State())

  private init() {
    do {
      // Lives as long as the process.
      _ = Unmanaged.passRetained(try HostThread(name: "completions") { [state] in Self.run(state) })
    } catch {
      fatalError("no thread to complete requests: \(error)")
    }
  }

  func add(_ completion: @escaping @Sendable () -> Void) {
    state.update { $0.waiting.append(completion) }
  }

  func waitUntilIdle() { state.wait { $0.waiting.isEmpty && !$0.isBusy ? () : nil } }

  private static func run(_ state: Monitor<State>) {
    while true {
      let completions = state.wait { state -> [@Sendable () -> Void]? in
        guard !state.waiting.isEmpty else { return nil }
        defer { state.waiting = [] }
        state.isBusy = true
        return state.waiting
      }
      for completion in completions { completion() }
      state.update { $0.isBusy = false }
    }
  }
}

/// Counts what a device asks for, and stops the run when one operation asks for too much.
final class WorkCounter: Sendable {
  static let shared = WorkCounter()
  private let count = Atomic<Int>(0)
  /// More than all queues of a device hold together.
  private static let most = 8192

  func beginOperation() { count.store(0, ordering: .relaxed) }

  func add() {
    let count = count.add(1, ordering: .relaxed).newValue
    precondition(count <= Self.most, "one operation asks for more than all queues hold")
  }
}

final class FuzzedDisk: BlockBackend {
  private let contents = MemorySegments(zeroed: 1 << 16)

  var byteCount: UInt64 { UInt64(contents.byteCount) }
  var blockByteCount: UInt32 { 512 }
  var preferredByteCount: UInt32 { 4096 }
  var isReadOnly: Bool { false }
  var canDiscard: Bool { true }

  func submit(
    _ request: BlockRequest,
    completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    WorkCounter.shared.add()
    switch request {
    case .read(let offset, let buffer):
      buffer.write(contents.bytes(from: Int(offset), count: buffer.byteCount))
    case .write(let offset, let buffer, _): contents.write(buffer.bytes(), at: Int(offset))
    case .flush: break
    case .discard(let offset, let count), .writeZeroes(let offset, let count, _):
      contents.clear(from: Int(offset), count: Int(count))
    }
    CompletionThread.shared.add { completion(.success(())) }
  }

  func close() throws(BlockError) {}
}

/// A network that takes every packet but each fourth.
final class FuzzedNetwork: NetworkBackend {
  private let count = Atomic<Int>(0)

  var offloads: NetworkOffloads { [.checksum, .tcpIPv4, .tcpIPv6] }
  var maximumTransmissionUnit: UInt16 { 1500 }

  func connect(
    accepted: @escaping @Sendable () -> NetworkOffloads,
    receive: @escaping @Sendable (NetworkPacket) -> Bool
  ) throws {}

  func send(_ packet: NetworkPacket) -> Bool {
    WorkCounter.shared.add()
    return count.add(1, ordering: .relaxed).newValue % 4 != 0
  }

  func resume() {}
  func onRoom(_ body: @escaping @Sendable () -> Void) {}
  func disconnect() {}
}

/// A folder whose answers are the requests, turned round.
final class FuzzedFolder: FileSharingBackend {
  func submit(
    _ request: [UInt8], replyLimit: Int, completion: @escaping @Sendable ([UInt8]) -> Void
  ) {
    WorkCounter.shared.add()
    CompletionThread.shared.add { completion(Array(request.reversed().prefix(replyLimit))) }
  }

  func reset() {}
  func close() {}
}

/// Sockets that do nothing: what happens to them is the input's to say.
final class FuzzedSockets: SocketBackend {
  func connect(submit: @escaping @Sendable (SocketEvent) -> Int) throws {}
  func start() {}
  func open(_ connection: SocketConnection, port: UInt32) { WorkCounter.shared.add() }
  func accept(_ connection: SocketConnection, hostPort: UInt32) { WorkCounter.shared.add() }
  func send(_ bytes: [UInt8], on connection: SocketConnection) { WorkCounter.shared.add() }
  func finish(_ connection: SocketConnection, _ directions: SocketDirections) {
    WorkCounter.shared.add()
  }
  func resume(_ connection: SocketConnection?) { WorkCounter.shared.add() }
  func drop(_ connection: SocketConnection) { WorkCounter.shared.add() }
  func reset() {}
  func disconnect() {}
}

/// A terminal that takes all of what is written to it, but each fourth time half.
final class FuzzedConsole: ConsoleSink {
  private let count = Atomic<Int>(0)

  func write(_ bytes: [UInt8]) -> Int {
    WorkCounter.shared.add()
    return count.add(1, ordering: .relaxed).newValue % 4 != 0 ? bytes.count : bytes.count / 2
  }

  func inputRoomAvailable() { WorkCounter.shared.add() }
}
