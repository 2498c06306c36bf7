public import DeviceModel
public import MachineTypes

/// The `pvpanic` ISA device: the byte through which a guest reports its own panic (QEMU
/// `docs/specs/pvpanic.rst`; Linux `drivers/misc/pvpanic/`).
public struct PanicPort: PortIODevice, SavableDevice {
  public struct Events: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let panicked = Events(rawValue: 1 << 0)
    /// The guest goes on in its crash kernel.
    public static let crashLoaded = Events(rawValue: 1 << 1)
    public static let supported: Events = [.panicked, .crashLoaded]
  }

  public struct State: Codable, Equatable, Sendable {
    var reportCount: Int
    static let powerOn = State(reportCount: 0)
  }

  private let offered: Events
  private var state: State = .powerOn

  public init(offering events: Events = .supported) { offered = events }

  /// Reports since the last reset.
  public var reportCount: Int { state.reportCount }

  public mutating func read(
    from offset: UInt16, width: AccessWidth
  ) throws(BusError) -> UInt32 {
    guard width == .byte else { throw .wrongWidth }
    return UInt32(offered.rawValue)
  }

  public mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .byte else { throw .wrongWidth }
    let events = Events(rawValue: UInt8(truncatingIfNeeded: value)).intersection(offered)
    guard !events.isEmpty else { return .none }
    state.reportCount &+= 1
    return events.contains(.panicked) ? .reportGuestPanic : .reportGuestCrashLoaded
  }

  public mutating func reset() { state = .powerOn }

  public func save() -> State { state }

  public mutating func restore(_ state: State) throws(RestoreError) {
    guard state.reportCount >= 0 else {
      throw RestoreError(device: "pvpanic", reason: "negative report count")
    }
    self.state = state
  }
}
