public import MachineTypes

/// Why a device refuses an access. The bus turns it into all ones, or drops the write, and counts it.
public enum BusError: Error, Hashable, Sendable {
  case noSuchRegister
  case wrongWidth
}

/// What a device asks of the machine as the answer to a write.
public enum MachineRequest: Hashable, Sendable {
  case none
  /// ACPI S5 or the like: the guest switched itself off.
  case powerOff
  /// A reset of the whole machine.
  case reset
  /// The guest reports its own panic (pvpanic).
  case reportGuestPanic
  /// The guest reports that it panicked and is now running its crash kernel.
  case reportGuestCrashLoaded
}

/// A device on I/O ports. A value: configuration, connections and state. It holds no lock and knows no
/// bus; the bus calls it one access at a time.
public protocol PortIODevice: Sendable {
  /// - Parameter offset: from the first port of the range the device was attached with.
  mutating func read(from offset: UInt16, width: AccessWidth) throws(BusError) -> UInt32
  mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest
  mutating func reset()
}

/// A device in physical memory space.
public protocol MemoryMappedDevice: Sendable {
  mutating func read(from offset: UInt64, width: AccessWidth) throws(BusError) -> UInt64
  mutating func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest
  mutating func reset()
}

/// A device that acts on its own at some later time. The bus keeps a timer for it.
public protocol TimedDevice: Sendable {
  /// When `advance()` next has something to do; `nil` for not at all. Read after every access.
  var nextDeadline: VirtualInstant? { get }
  /// Does what is due by now.
  mutating func advance()
}
