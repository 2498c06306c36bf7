public import DeviceModel
public import MachineTypes
import Synchronization

/// An interrupt line that remembers its level and its rises.
public final class RecordingLine: InterruptLine {
  private struct State: Sendable {
    var isAsserted = false
    var riseCount = 0
  }

  private let state = Mutex(State())

  public init() {}

  public func set(_ isAsserted: Bool) {
    state.withLock {
      if isAsserted, !$0.isAsserted { $0.riseCount += 1 }
      $0.isAsserted = isAsserted
    }
  }

  public var isAsserted: Bool { state.withLock { $0.isAsserted } }
  public var riseCount: Int { state.withLock { $0.riseCount } }
}

/// Local APICs that only listen.
public final class RecordingMessageSink: InterruptMessageSink {
  private let received = Mutex<[InterruptMessage]>([])

  public init() {}

  public func deliver(_ message: InterruptMessage) { received.withLock { $0.append(message) } }

  public var messages: [InterruptMessage] { received.withLock { $0 } }
  public var vectors: [UInt8] { messages.map { UInt8(truncatingIfNeeded: $0.data) } }
}

/// The other end of a serial cable, which can be told to stop listening.
public final class RecordingSerialSink: SerialSink {
  private struct State: Sendable {
    var bytes: [UInt8] = []
    var isReady = true
    var roomCount = 0
  }

  private let state = Mutex(State())

  public init() {}

  public func write(_ byte: UInt8) -> Bool {
    state.withLock {
      guard $0.isReady else { return false }
      $0.bytes.append(byte)
      return true
    }
  }

  public func inputRoomAvailable() { state.withLock { $0.roomCount += 1 } }

  public var isReady: Bool {
    get { state.withLock { $0.isReady } }
    set { state.withLock { $0.isReady = newValue } }
  }
  public var bytes: [UInt8] { state.withLock { $0.bytes } }
  public var text: String { String(decoding: bytes, as: UTF8.self) }
  /// How often the port announced room for input.
  public var roomCount: Int { state.withLock { $0.roomCount } }
}
