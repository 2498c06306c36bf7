import DeviceModel
import HostSystem

/// One connection of a `UnixSocketBridge`: the host's socket, and what waits on both sides of it.
struct BridgedSocket: Sendable {
  enum Phase: Sendable {
    /// The guest wants this port of the host.
    case opening(port: UInt32)
    /// The host has not yet said which port of the guest it wants; so far it said this.
    case command([UInt8])
    /// The guest was asked.
    case offered
    case established
  }

  var phase: Phase
  let stream: StreamDescriptor?
  /// What the device did not take yet.
  var input: [UInt8] = []
  /// The device takes no more input until it says so.
  var isHeldBack = false
  /// How often it said so.
  var resumptions: UInt64 = 0
  /// For the host.
  var output: [UInt8] = []
  /// So many bytes of `output` are the bridge's own words.
  var greetingByteCount = 0
  /// The guest sends no more than `output`.
  var endsOutput = false
  var isInputOver = false
  var isOutputOver = false

  init(_ phase: Phase, _ stream: StreamDescriptor?) {
    self.phase = phase
    self.stream = stream
  }

  /// What to wait for; `nil` for nothing.
  var events: PollSet.Events? {
    switch phase {
    case .opening: return nil
    case .command: return .readable
    // To hear of a hang-up, which is told unasked.
    case .offered: return []
    case .established:
      var events: PollSet.Events = []
      if !isInputOver, !isHeldBack { events.insert(.readable) }
      if !isOutputOver, !output.isEmpty { events.insert(.writable) }
      // A hang-up while input is held back would be told again and again.
      return events.isEmpty && !isInputOver ? nil : events
    }
  }

  /// The host took `count` bytes of the output; returns how many of them were the guest's.
  mutating func take(_ count: Int) -> Int {
    output.removeFirst(min(count, output.count))
    let greeting = min(count, greetingByteCount)
    greetingByteCount -= greeting
    return count - greeting
  }
}
