import DeviceModel
import HostSystem

/// Packets on their way from a device to a network's thread: bounded, and the sender is told when there is
/// room again.
final class PacketQueue: Sendable {
  private struct State: Sendable {
    var packets: [NetworkPacket] = []
    var byteCount = 0
    var hasRefused = false
    var isClosed = false
    var onRoom: (@Sendable () -> Void)?
  }

  private let state = Monitor(State())
  private static let mostPackets = 1024
  private static let mostBytes = 4 << 20

  func onRoom(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.onRoom = body } }

  /// What became of a packet that was to be added.
  enum Admission: Hashable {
    /// It is the first: the network's thread must be woken.
    case first
    case added
    case refused
  }

  func add(_ packet: NetworkPacket) -> Admission {
    state.withLock { state in
      // Nobody will take it any more: dropped, like on a cable that was pulled.
      if state.isClosed { return .added }
      guard state.packets.count < Self.mostPackets, state.byteCount < Self.mostBytes else {
        state.hasRefused = true
        return .refused
      }
      state.packets.append(packet)
      state.byteCount += packet.bytes.count
      return state.packets.count == 1 ? .first : .added
    }
  }

  /// Everything that waits.
  func takeAll() -> [NetworkPacket] {
    let (packets, onRoom) = state.withLock { state in
      let onRoom = state.hasRefused ? state.onRoom : nil
      let packets = state.packets
      state.packets = []
      state.byteCount = 0
      state.hasRefused = false
      return (packets, onRoom)
    }
    onRoom?()
    return packets
  }

  func close() {
    state.withLock { state in
      state.isClosed = true
      state.packets = []
      state.onRoom = nil
    }
  }
}
