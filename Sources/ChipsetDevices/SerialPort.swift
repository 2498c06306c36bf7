public import DeviceModel
public import MachineTypes

/// COM1…COM4: a `UART16550` on eight I/O ports, wired to an interrupt line and to the host.
///
/// Output leaves at once, as long as the host takes it. Input waits in a queue and arrives in bursts
/// of the FIFO's size at the line's speed, so that no guest is flooded and no byte is lost.
public struct SerialPort: PortIODevice, TimedDevice, SavableDevice {
  /// How much input waits here before the host must wait.
  public static let inputCapacity = 4096

  public struct State: Codable, Equatable, Sendable {
    var uart: UART16550.State
    /// Input that has not arrived at the UART yet, oldest first.
    var input: [UInt8]
    /// Input was refused since there was last room.
    var refusedInput: Bool
    /// When the next burst may arrive, in nanoseconds.
    var nextArrival: UInt64
    /// When the receive FIFO's timeout strikes, in nanoseconds.
    var timeout: UInt64?
  }

  private let clock: any MachineClock
  private let interrupt: any InterruptLine
  private let sink: any SerialSink
  private var uart = UART16550()
  private var input: [UInt8] = []
  private var refusedInput = false
  private var nextArrival: UInt64 = 0
  private var timeout: UInt64?

  public init(clock: any MachineClock, interrupt: any InterruptLine, sink: any SerialSink) {
    self.clock = clock
    self.interrupt = interrupt
    self.sink = sink
  }

  // MARK: The host's side

  /// Takes as much input as there is room for.
  ///
  /// - Returns: the number of bytes taken. `SerialSink.inputRoomAvailable()` tells when to offer the
  ///   rest.
  public mutating func receive(_ bytes: [UInt8]) -> Int {
    let taken = bytes.prefix(max(Self.inputCapacity - input.count, 0))
    input += taken
    if taken.count < bytes.count { refusedInput = true }
    settle()
    return taken.count
  }

  /// The sink can take output again.
  public mutating func resumeOutput() { settle() }

  // MARK: Ports

  public mutating func read(
    from offset: UInt16, width: AccessWidth
  ) throws(BusError) -> UInt32 {
    guard width == .byte else { throw .wrongWidth }
    settle()
    let before = uart.receivedCount
    let value = uart.read(offset)
    if uart.receivedCount != before { restartTimeout() }
    settle()
    return UInt32(value)
  }

  public mutating func write(
    _ value: UInt32, to offset: UInt16, width: AccessWidth
  ) throws(BusError) -> MachineRequest {
    guard width == .byte else { throw .wrongWidth }
    let before = uart.receivedCount
    uart.write(UInt8(truncatingIfNeeded: value), to: offset)
    if uart.receivedCount != before { restartTimeout() }
    settle()
    return .none
  }

  // MARK: Time

  public var nextDeadline: VirtualInstant? {
    let arrival = input.isEmpty || uart.receiveRoom == 0 ? nil : nextArrival
    guard let next = [arrival, timeout].compactMap({ $0 }).min() else { return nil }
    return VirtualInstant(nanoseconds: next)
  }

  public mutating func advance() { settle() }

  private mutating func settle() {
    drainOutput()
    deliverInput()
    if let deadline = timeout, deadline <= clock.now.nanoseconds {
      timeout = nil
      uart.receiveTimedOut()
    }
    interrupt.set(uart.isInterruptPending && uart.isOutput2Active)
  }

  private mutating func drainOutput() {
    while let byte = uart.nextTransmitByte, sink.write(byte) { uart.transmitted() }
  }

  private mutating func deliverInput() {
    let now = clock.now.nanoseconds
    guard now >= nextArrival, !input.isEmpty else { return }
    let burst = input.prefix(uart.receiveRoom)
    guard !burst.isEmpty else { return }
    for byte in burst { uart.receive(byte) }
    let duration = UInt64(burst.count) * uart.characterNanoseconds
    input.removeFirst(burst.count)
    nextArrival = now &+ duration
    restartTimeout()
    if refusedInput {
      refusedInput = false
      sink.inputRoomAvailable()
    }
  }

  /// The timeout runs while data waits in the FIFO, from its last movement on.
  private mutating func restartTimeout() {
    guard uart.isFIFOEnabled, uart.receivedCount > 0 else {
      timeout = nil
      return
    }
    timeout = clock.now.nanoseconds &+ 4 * uart.characterNanoseconds
  }

  // MARK: State

  /// Input that waits belongs to the host and stays.
  public mutating func reset() {
    uart.reset()
    timeout = nil
    nextArrival = 0
    settle()
  }

  public func save() -> State {
    State(
      uart: uart.save(), input: input, refusedInput: refusedInput, nextArrival: nextArrival,
      timeout: timeout)
  }

  public mutating func restore(_ state: State) throws(RestoreError) {
    guard state.input.count <= Self.inputCapacity else {
      throw RestoreError(device: "serial port", reason: "more input than the queue holds")
    }
    try uart.restore(state.uart)
    input = state.input
    refusedInput = state.refusedInput
    nextArrival = state.nextArrival
    timeout = state.timeout
  }
}
