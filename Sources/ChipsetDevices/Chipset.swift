public import DeviceModel
public import MachineTypes
import Synchronization

/// The PC's fixed devices, attached to their buses and wired to the interrupt controllers.
///
/// ISA interrupt n reaches 8259 input n and I/O APIC input n; interrupt 0 reaches I/O APIC input 2.
public final class Chipset: Sendable {
  public struct Configuration: Sendable {
    public var memory: CMOSMemory
    public var serialPorts: [COMPort: any SerialSink]
    /// Takes what firmware writes to its debug ports; without it they are absent.
    public var debugConsole: (any SerialSink)?
    public var hasHPET: Bool
    public var hasPanicPort: Bool
    /// `resetControl` shares its ports with PCI's configuration address: whoever makes the PCI bus
    /// attaches both.
    public var hasPCI: Bool

    public init(
      memory: CMOSMemory, serialPorts: [COMPort: any SerialSink] = [:],
      debugConsole: (any SerialSink)? = nil, hasHPET: Bool = true, hasPanicPort: Bool = true,
      hasPCI: Bool = false
    ) {
      self.memory = memory
      self.serialPorts = serialPorts
      self.debugConsole = debugConsole
      self.hasHPET = hasHPET
      self.hasPanicPort = hasPanicPort
      self.hasPCI = hasPCI
    }
  }

  public let ports: PortBus
  public let memory: MemoryBus
  /// The door for input from outside.
  public let inputGate: InputGate
  public let legacyInterrupts: LegacyInterruptController
  public let ioAPIC: AttachedDevice<IOAPIC>
  public let serialPorts: [COMPort: AttachedDevice<SerialPort>]
  public let powerManagement: AttachedDevice<ACPIPowerManagement>

  private let inputReceivers = InputReceivers()

  let pit: AttachedDevice<PIT8254>
  let rtc: AttachedDevice<RTCMOS>
  let keyboardController: AttachedDevice<I8042>
  let systemControlPortA = AttachedDevice(SystemControlPortA())
  public let resetControl = AttachedDevice(ResetControl())
  let postCode = AttachedDevice(POSTCodePort())
  let panicPort: AttachedDevice<PanicPort>?
  let hpet: AttachedDevice<HPET>?

  /// - Parameters:
  ///   - messageSink: takes the I/O APIC's messages.
  ///   - interruptRequestChanged: INTR of the 8259 pair has a new level. Called under its lock.
  ///   - routeChanged: what an I/O APIC input would send now; see `IOAPIC.init`.
  /// - Throws: `BusOverlapError` if a bus that was passed in has a device at one of our places.
  public init(
    _ configuration: Configuration, clock: any MachineClock,
    messageSink: any InterruptMessageSink, ports: PortBus = PortBus(),
    memory: MemoryBus = MemoryBus(),
    interruptRequestChanged: @escaping @Sendable (Bool) -> Void,
    routeChanged: @escaping @Sendable (_ pin: UInt8, _ message: InterruptMessage?) -> Void = {
      _, _ in
    }
  ) throws(BusOverlapError) {
    self.ports = ports
    self.memory = memory
    let legacy = LegacyInterruptController(levelChanged: interruptRequestChanged)
    let ioAPIC = AttachedDevice(IOAPIC(sink: messageSink, routeChanged: routeChanged))
    legacyInterrupts = legacy
    self.ioAPIC = ioAPIC
    func line(_ number: UInt8) -> any InterruptLine {
      ISAInterruptLine(
        legacy: legacy.line(number),
        ioAPIC: IOAPICInputLine(
          ioAPIC: ioAPIC, pin: ChipsetLayout.ioAPICPin(ofInterrupt: number)))
    }

    let replacement = LegacyReplacement()
    pit = AttachedDevice(
      PIT8254(clock: clock, interrupt: replacement.replaced(line(0))), clock: clock)
    rtc = AttachedDevice(
      RTCMOS(
        clock: clock, interrupt: replacement.replaced(line(8)), memory: configuration.memory),
      clock: clock)
    keyboardController = AttachedDevice(I8042(interrupt: line(1)))
    powerManagement = AttachedDevice(
      ACPIPowerManagement(
        clock: clock, interrupt: line(ChipsetLayout.systemControlInterrupt)), clock: clock)
    panicPort = configuration.hasPanicPort ? AttachedDevice(PanicPort()) : nil
    hpet =
      configuration.hasHPET
      ? AttachedDevice(
        HPET(
          clock: clock,
          lines: Dictionary(
            uniqueKeysWithValues: (UInt8(20)...23).map {
              ($0, IOAPICInputLine(ioAPIC: ioAPIC, pin: $0))
            }),
          legacyLines: [line(0), line(8)],
          legacyReplacementChanged: { replacement.set($0) }), clock: clock) : nil

    let sharedLines: [UInt8: SharedInterruptLine] = [
      3: SharedInterruptLine(line(3)), 4: SharedInterruptLine(line(4)),
    ]
    var serialPorts: [COMPort: AttachedDevice<SerialPort>] = [:]
    for (name, sink) in configuration.serialPorts {
      let interrupt = sharedLines[name.interruptNumber]?.makeInput() ?? UnconnectedLine()
      serialPorts[name] = AttachedDevice(
        SerialPort(clock: clock, interrupt: interrupt, sink: sink), clock: clock)
    }
    self.serialPorts = serialPorts
    inputGate = InputGate { [serialPorts, powerManagement, inputReceivers] input in
      switch input {
      case .serial(let port, let bytes):
        guard let port = COMPort(rawValue: port).flatMap({ serialPorts[$0] }) else {
          return bytes.count
        }
        return port.withDevice { $0.receive(bytes) }
      case .powerButton:
        powerManagement.withDevice { $0.pressPowerButton() }
        return 1
      case .device(let number, let input):
        return inputReceivers.withLock { $0[number] }?(input) ?? 1
      }
    }
    try attachDevices(configuration)
  }

  private func attachDevices(_ configuration: Configuration) throws(BusOverlapError) {
    typealias Layout = ChipsetLayout
    try ports.attach(legacyInterrupts.device, at: Layout.pic.master, count: 2)
    try ports.attach(legacyInterrupts.device, at: Layout.pic.slave, count: 2, firstOffset: 2)
    try ports.attach(
      legacyInterrupts.device, at: Layout.pic.edgeLevelControl, count: 2, firstOffset: 4)
    try ports.attach(pit, at: Layout.pit, count: 4)
    try ports.attach(pit, at: Layout.systemControlPortB, count: 1, firstOffset: 4)
    try ports.attach(keyboardController, at: Layout.keyboardData, count: 1)
    try ports.attach(keyboardController, at: Layout.keyboardCommand, count: 1, firstOffset: 4)
    try ports.attach(rtc, at: Layout.rtc, count: 2)
    try ports.attach(postCode, at: Layout.postCode, count: 1)
    try ports.attach(postCode, at: Layout.delay, count: 1)
    try ports.attach(systemControlPortA, at: Layout.systemControlPortA, count: 1)
    if !configuration.hasPCI {
      try ports.attach(resetControl, at: Layout.resetRange, count: 4)
    }
    try ports.attach(powerManagement, at: Layout.pmBase, count: 12)
    try ports.attach(powerManagement, at: Layout.generalEvents, count: 4, firstOffset: 0x20)
    for (name, port) in serialPorts { try ports.attach(port, at: name.firstPort, count: 8) }
    if let panicPort { try ports.attach(panicPort, at: Layout.panicPort, count: 1) }
    if let debugConsole = configuration.debugConsole {
      let console = AttachedDevice(DebugConsole(sink: debugConsole))
      try ports.attach(console, at: Layout.bochsConsole, count: 1)
      try ports.attach(console, at: Layout.firmwareConsole, count: 1)
    }
    try memory.attach(ioAPIC, at: Layout.ioAPIC, byteCount: 0x1000)
    if let hpet { try memory.attach(hpet, at: Layout.hpet, byteCount: 0x400) }
  }

  /// A wire to an ISA interrupt, 0…15, or to an I/O APIC input beyond, 16…23.
  public func interruptLine(_ number: UInt8) -> any InterruptLine {
    precondition(number < IOAPIC.pinCount)
    let pin = IOAPICInputLine(
      ioAPIC: ioAPIC, pin: ChipsetLayout.ioAPICPin(ofInterrupt: number))
    guard number < 16 else { return pin }
    return ISAInterruptLine(legacy: legacyInterrupts.line(number), ioAPIC: pin)
  }

  /// Says who takes the inputs of device `number`, and how much of them was taken.
  public func receiveInput(
    of number: Int, _ receive: @escaping @Sendable (DeviceInput) -> Int
  ) {
    inputReceivers.withLock { $0[number] = receive }
  }

  /// A local APIC saw the EOI of a level-triggered vector.
  public func endOfInterrupt(_ vector: InterruptVector) {
    ioAPIC.withDevice { $0.endOfInterrupt(vector) }
  }

  /// Asks the guest to switch itself off.
  public func pressPowerButton() { _ = inputGate.submit(.powerButton) }

  /// The host takes output of `port` again.
  public func resumeOutput(of port: COMPort) {
    serialPorts[port]?.withDevice { $0.resumeOutput() }
  }

  /// Resets all devices on both buses.
  public func reset() {
    ports.resetDevices()
    memory.resetDevices()
  }
}

/// Who takes the inputs of which device beyond the chipset.
private final class InputReceivers: Sendable {
  typealias Receiver = @Sendable (DeviceInput) -> Int
  private let receivers = Mutex<[Int: Receiver]>([:])

  func withLock<Result: Sendable>(_ body: (inout [Int: Receiver]) -> Result) -> Result {
    receivers.withLock { body(&$0) }
  }
}
