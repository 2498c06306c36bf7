public import DeviceModel
public import GuestMemory
public import MachineTypes

/// A virtio device behind registers in memory and one wire (virtio 1.2 §4.2), without the legacy interface.
public struct VirtioMMIO<Device: VirtioDevice>: MemoryMappedDevice, TimedDevice {
  private var core: VirtioCore<Device>
  private let line: any InterruptLine
  private var interruptStatus: UInt32 = 0

  /// What the registers take of the address space, the device's configuration included.
  public static var registerByteCount: UInt64 { 0x1000 }

  public init(_ device: Device, memory: GuestRAM, line: any InterruptLine) {
    core = VirtioCore(device, memory: memory)
    self.line = line
  }

  /// The device type's half.
  public var device: Device { core.device }

  public var nextDeadline: VirtualInstant? { core.nextDeadline }

  public mutating func advance() {
    core.advance()
    interrupt()
  }

  /// Something came from outside. Returns how much of it was taken.
  public mutating func receive(_ input: DeviceInput) -> Int {
    let taken = core.receive(input)
    interrupt()
    return taken
  }

  public mutating func reset() {
    core.reset()
    interruptStatus = 0
    line.set(false)
  }

  // MARK: Registers (§4.2.2)

  public mutating func read(from offset: UInt64, width: AccessWidth) throws(BusError) -> UInt64 {
    if offset >= Register.configuration {
      return core.readConfiguration(Int(offset - Register.configuration), width)
    }
    guard width != .quadword else { throw .wrongWidth }
    guard width == .doubleword else { throw .noSuchRegister }
    return UInt64(try read(offset))
  }

  private func read(_ register: UInt64) throws(BusError) -> UInt32 {
    let queue = core.selected.map { core.queues.queues[$0] }
    switch register {
    case Register.magic: return 0x7472_6976
    case Register.version: return 2
    case Register.deviceType: return UInt32(core.device.deviceType)
    case Register.vendor: return 0x4C54_524D
    case Register.deviceFeatures: return core.selectedDeviceFeatures
    case Register.mostQueueEntries: return UInt32(queue?.maximumSize ?? 0)
    case Register.queueReady: return queue?.isReady == true ? 1 : 0
    case Register.interruptStatus: return interruptStatus
    case Register.status: return UInt32(core.status)
    // There is no shared memory.
    case Register.sharedMemory: return .max
    case Register.generation: return UInt32(core.configurationGeneration)
    default: throw .noSuchRegister
    }
  }

  public mutating func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    if offset >= Register.configuration {
      core.writeConfiguration(value, Int(offset - Register.configuration), width)
    } else {
      guard width != .quadword else { throw .wrongWidth }
      guard width == .doubleword else { throw .noSuchRegister }
      try write(UInt32(truncatingIfNeeded: value), offset)
    }
    interrupt()
    return .none
  }

  private mutating func write(_ value: UInt32, _ register: UInt64) throws(BusError) {
    switch register {
    case Register.deviceFeatureSelect: core.deviceFeatureSelect = value
    case Register.driverFeatures: core.selectedDriverFeatures = value
    case Register.driverFeatureSelect: core.driverFeatureSelect = value
    case Register.queueSelect: core.queueSelect = UInt16(clamping: value)
    case Register.queueEntries:
      // A size that no queue has is not taken when the queue is enabled.
      core.configureSelected { $0.size = UInt16(exactly: value) ?? 0 }
    case Register.queueReady:
      if value == 1 { core.enableSelected() } else { core.disableSelected() }
    case Register.notify: core.notify(Int(value & 0xFFFF))
    case Register.acknowledge: interruptStatus &= ~value
    case Register.status:
      core.writeStatus(UInt8(truncatingIfNeeded: value))
      if value == 0 { interruptStatus = 0 }
    case Register.descriptors, Register.descriptors + 4:
      core.configureSelected { setHalf(of: &$0.descriptors, value, register) }
    case Register.driverArea, Register.driverArea + 4:
      core.configureSelected { setHalf(of: &$0.driverArea, value, register) }
    case Register.deviceArea, Register.deviceArea + 4:
      core.configureSelected { setHalf(of: &$0.deviceArea, value, register) }
    case Register.sharedMemorySelect: break
    default: throw .noSuchRegister
    }
  }

  private mutating func interrupt() {
    let due = core.takeInterrupts()
    if !due.queues.isEmpty { interruptStatus |= 1 }
    if due.configuration { interruptStatus |= 2 }
    line.set(interruptStatus != 0)
  }
}

/// Offsets from the first register.
private enum Register {
  static let magic: UInt64 = 0x00
  static let version: UInt64 = 0x04
  static let deviceType: UInt64 = 0x08
  static let vendor: UInt64 = 0x0C
  static let deviceFeatures: UInt64 = 0x10
  static let deviceFeatureSelect: UInt64 = 0x14
  static let driverFeatures: UInt64 = 0x20
  static let driverFeatureSelect: UInt64 = 0x24
  static let queueSelect: UInt64 = 0x30
  static let mostQueueEntries: UInt64 = 0x34
  static let queueEntries: UInt64 = 0x38
  static let queueReady: UInt64 = 0x44
  static let notify: UInt64 = 0x50
  static let interruptStatus: UInt64 = 0x60
  static let acknowledge: UInt64 = 0x64
  static let status: UInt64 = 0x70
  static let descriptors: UInt64 = 0x80
  static let driverArea: UInt64 = 0x90
  static let deviceArea: UInt64 = 0xA0
  static let sharedMemorySelect: UInt64 = 0xAC
  /// Length and base of a region.
  static let sharedMemory: ClosedRange<UInt64> = 0xB0...0xBC
  static let generation: UInt64 = 0xFC
  static let configuration: UInt64 = 0x100
}

/// Replaces the low or the high half of `target`, as bit 2 of the register says.
private func setHalf(of target: inout UInt64, _ value: UInt32, _ register: UInt64) {
  target =
    register & 4 == 0
    ? target & ~0xFFFF_FFFF | UInt64(value) : target & 0xFFFF_FFFF | UInt64(value) << 32
}
