public import DeviceModel
import MachineTypes
import Synchronization

/// What a device has of its slot: its interrupts, by message (MSI-X, PCI 3.0 §6.8.2) or by wire, and
/// whether it may access memory. With plain MSI (§6.8.1), a message stands for the wire's rise. From any thread.
public final class PCIConnector: Sendable {
  private struct Entry: Equatable, Sendable {
    var address: UInt64 = 0
    var data: UInt32 = 0
    var isMasked = true
    var isPending = false
  }

  /// The one message of plain MSI, which takes the wire's place.
  struct WireMessage: Equatable, Sendable {
    var address: UInt64 = 0
    var data: UInt32 = 0
    var isEnabled = false
    var isMasked = false
  }

  private struct State: Sendable {
    var entries: [Entry]
    var wireMessage = WireMessage()
    var isWireMessagePending = false
    var isEnabled = false
    var isFunctionMasked = false
    /// The device wants its wire asserted; the guest has cut it off.
    var isLineAsserted = false
    var isLineDisabled = false
  }

  /// A table is 4 KiB at most here: half for entries, the other for pending bits.
  public static let maximumMessageCount = 128
  static let pendingBits: UInt64 = 0x800
  static let tableByteCount: UInt32 = 0x1000

  public let messageCount: Int
  private let state: Mutex<State>
  private let line: any InterruptLine
  private let sink: any InterruptMessageSink
  private let isMaster = Atomic<Bool>(false)

  /// - Parameters:
  ///   - messageCount: MSI-X vectors, 1…128.
  ///   - line: the slot's INTA.
  public init(
    messageCount: Int, line: any InterruptLine, sink: any InterruptMessageSink
  ) {
    precondition((1...Self.maximumMessageCount).contains(messageCount))
    self.messageCount = messageCount
    self.line = line
    self.sink = sink
    state = Mutex(State(entries: Array(repeating: Entry(), count: messageCount)))
  }

  // MARK: The device's side

  /// COMMAND.BUS_MASTER: the device may read and write memory.
  public var isBusMaster: Bool { isMaster.load(ordering: .acquiring) }

  /// Whether interrupts go by message; the wire is then dead.
  public var usesMessages: Bool { state.withLock { $0.isEnabled } }

  /// Sends message `number`, or keeps it pending while it is masked. Numbers there are no messages
  /// for are ignored.
  public func signal(_ number: Int) {
    state.withLock { state in
      guard state.isEnabled, state.entries.indices.contains(number) else { return }
      if state.isFunctionMasked || state.entries[number].isMasked {
        state.entries[number].isPending = true
      } else {
        send(state.entries[number])
      }
    }
  }

  /// Drives the wire.
  public func setLine(_ isAsserted: Bool) {
    state.withLock {
      let isRise = isAsserted && !$0.isLineAsserted
      $0.isLineAsserted = isAsserted
      if isRise, $0.wireMessage.isEnabled { $0.isWireMessagePending = true }
      drive(&$0)
    }
  }

  // MARK: The function's side

  /// Plain MSI's message waits for its mask to go.
  var isWireMessagePending: Bool { state.withLock { $0.isWireMessagePending } }

  var isLineAsserted: Bool { state.withLock { $0.isLineAsserted } }

  func commandChanged(isBusMaster: Bool, isLineDisabled: Bool) {
    isMaster.store(isBusMaster, ordering: .releasing)
    state.withLock {
      $0.isLineDisabled = isLineDisabled
      drive(&$0)
    }
  }

  func wireMessageChanged(_ message: WireMessage) {
    state.withLock {
      guard message != $0.wireMessage else { return }
      // What is asserted as messages come on has not been told yet.
      if message.isEnabled, !$0.wireMessage.isEnabled, $0.isLineAsserted {
        $0.isWireMessagePending = true
      }
      $0.wireMessage = message
      drive(&$0)
    }
  }

  func messageControlChanged(isEnabled: Bool, isMasked: Bool) {
    state.withLock {
      $0.isEnabled = isEnabled
      $0.isFunctionMasked = isMasked
      drive(&$0)
      for number in $0.entries.indices { release(&$0, number) }
    }
  }

  func reset() {
    isMaster.store(false, ordering: .releasing)
    state.withLock {
      $0 = State(entries: Array(repeating: Entry(), count: messageCount))
      drive(&$0)
    }
  }

  private func send(_ entry: Entry) {
    sink.deliver(InterruptMessage(address: entry.address, data: entry.data))
  }

  private func drive(_ state: inout State) {
    let message = state.wireMessage
    line.set(
      state.isLineAsserted && !state.isEnabled && !message.isEnabled && !state.isLineDisabled)
    guard message.isEnabled, !state.isEnabled else {
      state.isWireMessagePending = false
      return
    }
    guard state.isWireMessagePending, !message.isMasked else { return }
    state.isWireMessagePending = false
    sink.deliver(InterruptMessage(address: message.address, data: message.data))
  }

  private func release(_ state: inout State, _ number: Int) {
    guard state.isEnabled, !state.isFunctionMasked, !state.entries[number].isMasked,
      state.entries[number].isPending
    else { return }
    state.entries[number].isPending = false
    send(state.entries[number])
  }

  // MARK: The table

  func readTable(_ offset: UInt64) -> UInt32 {
    state.withLock { state in
      if offset >= Self.pendingBits {
        let first = Int((offset - Self.pendingBits) / 4) * 32
        return (0..<32).reduce(UInt32(0)) { bits, bit in
          let number = first + bit
          let isPending = number < messageCount && state.entries[number].isPending
          return isPending ? bits | 1 << UInt32(bit) : bits
        }
      }
      let number = Int(offset / 16)
      guard number < messageCount else { return 0 }
      let entry = state.entries[number]
      switch offset & 12 {
      case 0: return UInt32(truncatingIfNeeded: entry.address)
      case 4: return UInt32(truncatingIfNeeded: entry.address >> 32)
      case 8: return entry.data
      default: return entry.isMasked ? 1 : 0
      }
    }
  }

  func writeTable(_ value: UInt32, _ offset: UInt64) {
    state.withLock { state in
      let number = Int(offset / 16)
      guard offset < Self.pendingBits, number < messageCount else { return }
      switch offset & 12 {
      case 0:
        state.entries[number].address =
          state.entries[number].address & ~0xFFFF_FFFF | UInt64(value & ~3)
      case 4:
        state.entries[number].address =
          state.entries[number].address & 0xFFFF_FFFF | UInt64(value) << 32
      case 8: state.entries[number].data = value
      default:
        state.entries[number].isMasked = value & 1 != 0
        release(&state, number)
      }
    }
  }
}
