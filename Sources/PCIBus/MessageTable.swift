import DeviceModel
import MachineTypes

/// The BAR through which a guest reaches a function's MSI-X table.
struct MessageTable: MemoryMappedDevice {
  let connector: PCIConnector

  func read(from offset: UInt64, width: AccessWidth) throws(BusError) -> UInt64 {
    guard width != .quadword else { throw .wrongWidth }
    guard width == .doubleword, offset & 3 == 0 else { throw .noSuchRegister }
    return UInt64(connector.readTable(offset))
  }

  func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width != .quadword else { throw .wrongWidth }
    guard width == .doubleword, offset & 3 == 0 else { throw .noSuchRegister }
    connector.writeTable(UInt32(truncatingIfNeeded: value), offset)
    return .none
  }

  /// The function resets its connector.
  func reset() {}
}
