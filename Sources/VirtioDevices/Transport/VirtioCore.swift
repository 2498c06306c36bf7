import DeviceModel
import GuestMemory
import MachineTypes

/// What the transports have in common: feature negotiation, status, queues.
struct VirtioCore<Device: VirtioDevice>: Sendable {
  var device: Device
  var queues: VirtioQueues
  var status: UInt8 = 0
  var deviceFeatureSelect: UInt32 = 0
  var driverFeatureSelect: UInt32 = 0
  var driverFeatures: UInt64 = 0
  var queueSelect: UInt16 = 0
  var configurationGeneration: UInt8 = 0
  /// How often the driver broke the rules.
  private(set) var errorCount: UInt64 = 0

  init(_ device: Device, memory: GuestRAM) {
    self.device = device
    queues = VirtioQueues(memory: memory, sizes: device.queueSizes)
  }

  var offeredFeatures: UInt64 { device.features | VirtioFeature.all }

  /// 32 of the offered features.
  var selectedDeviceFeatures: UInt32 {
    switch deviceFeatureSelect {
    case 0: UInt32(truncatingIfNeeded: offeredFeatures)
    case 1: UInt32(truncatingIfNeeded: offeredFeatures >> 32)
    default: 0
    }
  }

  var selectedDriverFeatures: UInt32 {
    get {
      driverFeatureSelect > 1
        ? 0 : UInt32(truncatingIfNeeded: driverFeatures >> UInt64(32 * driverFeatureSelect))
    }
    set {
      guard driverFeatureSelect <= 1, status & VirtioStatus.featuresAgreed == 0 else { return }
      let shift = UInt64(32 * driverFeatureSelect)
      driverFeatures = driverFeatures & ~(0xFFFF_FFFF << shift) | UInt64(newValue) << shift
    }
  }

  /// The selected queue; `nil` if there is none of that number.
  var selected: Int? {
    Int(queueSelect) < queues.queues.count ? Int(queueSelect) : nil
  }

  /// What changes in the selected queue before it is enabled.
  mutating func configureSelected(_ change: (inout VirtQueue) -> Void) {
    guard let selected, !queues.queues[selected].isReady else { return }
    change(&queues.queues[selected])
  }

  mutating func enableSelected() {
    guard let selected, !queues.queues[selected].isReady,
      queues.queues[selected].accepts(
        size: queues.queues[selected].size, features: driverFeatures)
    else { return }
    queues.queues[selected].start(features: driverFeatures)
  }

  /// The selected queue is given up; what the device still has of it does not come back.
  mutating func disableSelected() {
    if let selected { queues.queues[selected].reset() }
  }

  // MARK: The device's configuration space

  func readConfiguration(_ offset: Int, _ width: AccessWidth) -> UInt64 {
    let bytes = device.configuration
    return (0..<width.byteCount).reduce(UInt64(0)) { value, index in
      let byte = offset + index < bytes.count ? bytes[offset + index] : 0
      return value | UInt64(byte) << UInt64(8 * index)
    }
  }

  mutating func writeConfiguration(_ value: UInt64, _ offset: Int, _ width: AccessWidth) {
    for index in 0..<width.byteCount {
      device.writeConfiguration(
        UInt8(truncatingIfNeeded: value >> UInt64(8 * index)), at: offset + index)
    }
  }

  // MARK: The driver

  /// The driver writes the status; 0 resets.
  mutating func writeStatus(_ value: UInt8) {
    guard value != 0 else {
      reset()
      return
    }
    var value = value | status & VirtioStatus.needsReset
    let added = value & ~status
    if added & VirtioStatus.featuresAgreed != 0 {
      let isAcceptable =
        driverFeatures & ~offeredFeatures == 0 && driverFeatures & VirtioFeature.version1 != 0
      if !isAcceptable { value &= ~VirtioStatus.featuresAgreed }
    }
    status = value
    if added & value & VirtioStatus.driverReady != 0 {
      let features = driverFeatures
      attempt { (core) throws(VirtioError) in
        try core.device.start(features: features, &core.queues)
        // Drivers may fill queues, and say so, before the device looks at them.
        for queue in core.queues.queues.indices where core.queues.queues[queue].isReady {
          try core.device.notify(queue, &core.queues)
        }
      }
    }
  }

  /// Whether the device may work.
  private var isLive: Bool {
    status & VirtioStatus.driverReady != 0 && status & VirtioStatus.needsReset == 0
  }

  mutating func notify(_ queue: Int) {
    guard isLive, queue < queues.queues.count else { return }
    attempt { (core) throws(VirtioError) in try core.device.notify(queue, &core.queues) }
  }

  /// Returns how much of the input was taken.
  mutating func receive(_ input: DeviceInput) -> Int {
    guard isLive else { return device.dismiss(input) }
    var taken = 1
    attempt { (core) throws(VirtioError) in
      taken = try core.device.receive(input, &core.queues)
    }
    return taken
  }

  var nextDeadline: VirtualInstant? { isLive ? device.nextDeadline : nil }

  mutating func advance() {
    guard isLive else { return }
    attempt { (core) throws(VirtioError) in try core.device.advance(&core.queues) }
  }

  private mutating func attempt(_ body: (inout Self) throws(VirtioError) -> Void) {
    do throws(VirtioError) {
      try body(&self)
    } catch {
      errorCount &+= 1
      status |= VirtioStatus.needsReset
      queues.configurationChanged = true
    }
  }

  /// The interrupts that are due: queues, and the configuration's.
  mutating func takeInterrupts() -> (queues: [Int], configuration: Bool) {
    var due: [Int] = []
    for number in queues.queues.indices where queues.queues[number].takeInterrupt(queues.memory) {
      due.append(number)
    }
    let configuration = queues.configurationChanged
    if configuration {
      queues.configurationChanged = false
      configurationGeneration &+= 1
    }
    return (due, configuration && status & VirtioStatus.driverReady != 0)
  }

  mutating func reset() {
    device.reset()
    for number in queues.queues.indices { queues.queues[number].reset() }
    queues.configurationChanged = false
    status = 0
    deviceFeatureSelect = 0
    driverFeatureSelect = 0
    driverFeatures = 0
    queueSelect = 0
  }
}
