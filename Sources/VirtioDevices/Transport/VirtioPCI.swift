public import DeviceModel
public import GuestMemory
public import MachineTypes
public import PCIBus

/// A virtio device behind a PCI function (virtio 1.2 §4.1), without the legacy interface.
///
/// BAR 0: the common configuration at 0, the interrupt status at 1000h, the device's configuration at
/// 2000h, and a notification register for each queue from 3000h on, four bytes apart.
public struct VirtioPCI<Device: VirtioDevice>: PCIDevice, TimedDevice {
  private var core: VirtioCore<Device>
  private let connector: PCIConnector
  private var configurationVector: UInt16 = noVector
  private var interruptStatus: UInt8 = 0

  private static var noVector: UInt16 { 0xFFFF }

  public init(_ device: Device, memory: GuestRAM, connector: PCIConnector) {
    core = VirtioCore(device, memory: memory)
    self.connector = connector
  }

  /// The device type's half.
  public var device: Device { core.device }

  // MARK: The function

  public var identity: PCIIdentity {
    let type = core.device.deviceType
    return PCIIdentity(
      vendor: 0x1AF4, device: 0x1040 + type, revision: 1, classCode: Self.classCode(type),
      subsystemVendor: 0x1AF4, subsystem: 0x1100)
  }

  private static func classCode(_ type: UInt16) -> UInt32 {
    switch type {
    case 1: 0x02_0000  // network
    case 2: 0x01_8000  // other storage
    case 3: 0x07_8000  // other communication
    default: 0xFF_0000
    }
  }

  public var registerByteCount: UInt32 { UInt32(Layout.end) }

  /// `struct virtio_pci_cap` (§4.1.4).
  public var vendorCapabilities: [PCIVendorCapability] {
    func body(_ kind: UInt8, _ offset: UInt64, _ length: UInt32, extra: [UInt8] = []) -> [UInt8] {
      let words = [UInt32(offset), length].flatMap { word in
        (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) }
      }
      return [UInt8(16 + extra.count), kind, 0, 0, 0, 0] + words + extra
    }
    return [
      PCIVendorCapability(body: body(1, Layout.common, 0x1000)),
      PCIVendorCapability(
        body: body(
          2, Layout.notify, 0x1000, extra: [UInt8(Layout.notifyMultiplier), 0, 0, 0])),
      PCIVendorCapability(body: body(3, Layout.status, 0x1000)),
      PCIVendorCapability(body: body(4, Layout.device, 0x1000)),
      PCIVendorCapability(body: body(5, 0, 0, extra: [0, 0, 0, 0]), isWindow: true),
    ]
  }

  // MARK: Registers

  public mutating func read(
    from offset: UInt64, width: AccessWidth
  ) throws(BusError) -> UInt64 {
    switch offset {
    case ..<Layout.status: return try readCommon(offset, width)
    case Layout.status:
      let status = interruptStatus
      interruptStatus = 0
      connector.setLine(false)
      return UInt64(status)
    case Layout.device..<Layout.notify:
      return core.readConfiguration(Int(offset - Layout.device), width)
    default: return 0
    }
  }

  public mutating func write(
    _ value: UInt64, to offset: UInt64, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    switch offset {
    case ..<Layout.status: try writeCommon(value, offset, width)
    case Layout.device..<Layout.notify:
      core.writeConfiguration(value, Int(offset - Layout.device), width)
    case Layout.notify..<Layout.end:
      guard connector.isBusMaster else { return .none }
      core.notify(Int((offset - Layout.notify) / UInt64(Layout.notifyMultiplier)))
    default: throw .noSuchRegister
    }
    interrupt()
    return .none
  }

  /// Something came from outside. Returns how much of it was taken.
  public mutating func receive(_ input: DeviceInput) -> Int {
    // A kernel that takes over cuts devices off before it gives their memory to others.
    guard connector.isBusMaster else { return core.device.dismiss(input) }
    let taken = core.receive(input)
    interrupt()
    return taken
  }

  public var nextDeadline: VirtualInstant? { core.nextDeadline }

  public mutating func advance() {
    core.advance()
    interrupt()
  }

  public mutating func reset() {
    core.reset()
    configurationVector = Self.noVector
    interruptStatus = 0
    connector.setLine(false)
  }

  // MARK: The common configuration (§4.1.4.3)

  private func readCommon(_ offset: UInt64, _ width: AccessWidth) throws(BusError) -> UInt64 {
    let queue = core.selected.map { core.queues.queues[$0] }
    switch (offset, width) {
    case (0, .doubleword): return UInt64(core.deviceFeatureSelect)
    case (4, .doubleword): return UInt64(core.selectedDeviceFeatures)
    case (8, .doubleword): return UInt64(core.driverFeatureSelect)
    case (12, .doubleword): return UInt64(core.selectedDriverFeatures)
    case (16, .word): return UInt64(configurationVector)
    case (18, .word): return UInt64(core.queues.queues.count)
    case (20, .byte): return UInt64(core.status)
    case (21, .byte): return UInt64(core.configurationGeneration)
    case (22, .word): return UInt64(core.queueSelect)
    case (24, .word): return UInt64(queue?.size ?? 0)
    case (26, .word): return UInt64(queue?.vector ?? Self.noVector)
    case (28, .word): return queue?.isReady == true ? 1 : 0
    case (30, .word): return queue == nil ? 0 : UInt64(core.queueSelect)
    case (32, _): return part(queue?.descriptors ?? 0, offset & 7, width)
    case (36, .doubleword): return (queue?.descriptors ?? 0) >> 32
    case (40, _): return part(queue?.driverArea ?? 0, offset & 7, width)
    case (44, .doubleword): return (queue?.driverArea ?? 0) >> 32
    case (48, _): return part(queue?.deviceArea ?? 0, offset & 7, width)
    case (52, .doubleword): return (queue?.deviceArea ?? 0) >> 32
    default: throw .noSuchRegister
    }
  }

  private func part(_ value: UInt64, _ offset: UInt64, _ width: AccessWidth) -> UInt64 {
    value & width.allOnes
  }

  private mutating func writeCommon(
    _ value: UInt64, _ offset: UInt64, _ width: AccessWidth
  ) throws(BusError) {
    let word = UInt16(truncatingIfNeeded: value)
    let doubleword = UInt32(truncatingIfNeeded: value)
    switch (offset, width) {
    case (0, .doubleword): core.deviceFeatureSelect = doubleword
    case (8, .doubleword): core.driverFeatureSelect = doubleword
    case (12, .doubleword): core.selectedDriverFeatures = doubleword
    case (16, .word): configurationVector = acceptable(word)
    case (20, .byte):
      core.writeStatus(UInt8(truncatingIfNeeded: value))
      if value == 0 {
        configurationVector = Self.noVector
        interruptStatus = 0
        connector.setLine(false)
      }
    case (22, .word): core.queueSelect = word
    case (24, .word): core.configureSelected { $0.size = word }
    case (26, .word):
      let vector = acceptable(word)
      if let selected = core.selected { core.queues.queues[selected].vector = vector }
    case (28, .word): if word == 1 { core.enableSelected() }
    case (32, _), (36, .doubleword):
      core.configureSelected { merge(value, into: &$0.descriptors, offset & 7, width) }
    case (40, _), (44, .doubleword):
      core.configureSelected { merge(value, into: &$0.driverArea, offset & 7, width) }
    case (48, _), (52, .doubleword):
      core.configureSelected { merge(value, into: &$0.deviceArea, offset & 7, width) }
    default: throw .noSuchRegister
    }
  }

  /// Vectors that the function does not have are refused (§4.1.5.1.2).
  private func acceptable(_ vector: UInt16) -> UInt16 {
    Int(vector) < connector.messageCount ? vector : Self.noVector
  }

  // MARK: Interrupts

  private mutating func interrupt() {
    let due = core.takeInterrupts()
    guard !due.queues.isEmpty || due.configuration else { return }
    if connector.usesMessages {
      if due.configuration { connector.signal(Int(configurationVector)) }
      var sent: UInt16 = Self.noVector
      for number in due.queues {
        let vector = core.queues.queues[number].vector
        if vector != sent { connector.signal(Int(vector)) }
        sent = vector
      }
    } else {
      interruptStatus |= (due.queues.isEmpty ? 0 : 1) | (due.configuration ? 2 : 0)
      connector.setLine(true)
    }
  }
}

/// Offsets in BAR 0.
private enum Layout {
  static let common: UInt64 = 0
  static let status: UInt64 = 0x1000
  static let device: UInt64 = 0x2000
  static let notify: UInt64 = 0x3000
  static let notifyMultiplier: UInt32 = 4
  static let end: UInt64 = 0x4000
}

/// Replaces the part of `target` that an access of `width` at byte `offset` covers.
private func merge(
  _ value: UInt64, into target: inout UInt64, _ offset: UInt64, _ width: AccessWidth
) {
  let shift = 8 * offset
  let mask = width.allOnes << shift
  target = target & ~mask | (value << shift) & mask
}
