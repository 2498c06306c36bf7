import MachineTypes
import Synchronization

/// The local APIC of one virtual CPU, xAPIC and x2APIC (SDM 3A chapter 11).
///
/// The vCPU's thread uses the registers; any thread delivers messages. One short lock covers the state;
/// it is never held while another APIC, the wake closure or a timer is called.
final class LocalAPIC: Sendable {
  /// Everything that reset, save and restore are about.
  struct State {
    var base: UInt64
    var id: UInt32
    var taskPriority: UInt8
    var logicalDestination: UInt32
    var destinationFormat: UInt32
    var spurious: UInt32
    var errorStatus: UInt32
    var pendingErrors: UInt32
    var requested = VectorSet()
    var inService = VectorSet()
    var triggerMode = VectorSet()
    var command: UInt64
    /// Timer, thermal, performance, LINT0, LINT1, error.
    var localVectors: InlineArray<6, UInt32>
    var initialCount: UInt32
    var divideConfiguration: UInt32
    /// Whether the timer counts down, one-shot or periodic.
    var isCounting: Bool
    /// When the count was, or would have been, the initial one; in nanoseconds, wrapping.
    var timerStart: UInt64
    /// IA32_TSC_DEADLINE; 0 when disarmed.
    var tscDeadline: UInt64
    var hasNonMaskableInterrupt: Bool
    var hasInit: Bool
    var startupPage: UInt8?

    static func powerOn(_ id: UInt32) -> State {
      State(
        base: 0xFEE0_0800 | (id == 0 ? 1 << 8 : 0), id: id, taskPriority: 0,
        logicalDestination: 0, destinationFormat: 0xFFFF_FFFF, spurious: 0xFF, errorStatus: 0,
        pendingErrors: 0, command: 0, localVectors: .init(repeating: 1 << 16), initialCount: 0,
        divideConfiguration: 0, isCounting: false, timerStart: 0, tscDeadline: 0,
        hasNonMaskableInterrupt: false, hasInit: false, startupPage: nil)
    }
  }

  enum LocalVector: Int { case timer, thermal, performance, lint0, lint1, error }

  let index: VirtualCPUIndex
  let clock: any MachineClock
  let bus: APICBus
  let state: Mutex<State>
  /// What is called when something may have become deliverable. Set once.
  private let wakeHandler = AtomicLazyReference<WakeHandler>()
  /// Locked while the next expiry is computed and armed, so that no thread arms an outdated one. Taken
  /// before `state`.
  let timer = Mutex<(any MachineTimer)?>(nil)
  /// The guest's TSC less the clock, for deadlines.
  let tscOffset = Atomic<UInt64>(0)

  init(index: VirtualCPUIndex, clock: any MachineClock, bus: APICBus) {
    self.index = index
    self.clock = clock
    self.bus = bus
    state = Mutex(.powerOn(index.rawValue))
    let timer = clock.makeTimer { [weak self] in self?.timerFired() }
    self.timer.withLock { $0 = timer }
    bus.attach(self)
  }

  /// Sets what is called when something may have become deliverable.
  func setWake(_ handler: @escaping @Sendable () -> Void) {
    _ = wakeHandler.storeIfNil(WakeHandler(handler))
  }

  func wake() { wakeHandler.load()?.call() }

  // MARK: For the vCPU

  var isEnabled: Bool { state.withLock { $0.base & 1 << 11 != 0 } }

  /// The offset of an address in the register page, where that page is mapped.
  func mappedOffset(_ address: UInt64) -> UInt64? {
    state.withLock { state in
      guard state.base & 0xC00 == 0x800, address & ~4095 == state.base & 0xFFFF_FFFF_F000 else {
        return nil
      }
      return address & 4095
    }
  }

  var taskPriority: UInt8 {
    get { state.withLock { $0.taskPriority } }
    set { state.withLock { $0.taskPriority = newValue } }
  }

  /// The highest requested vector, if its class is above the processor priority.
  func deliverableVector() -> UInt8? { state.withLock { $0.deliverableVector } }

  /// Moves a vector from requested to in-service.
  func acknowledge(_ vector: UInt8) {
    state.withLock {
      $0.requested[vector] = false
      $0.inService[vector] = true
    }
  }

  /// Whether the 8259's INTR reaches the CPU: the APIC is off, or LINT0 is an unmasked ExtINT.
  var acceptsExternalInterrupts: Bool {
    state.withLock { state in
      guard state.base & 1 << 11 != 0 else { return true }
      let lint0 = state.localVectors[LocalVector.lint0.rawValue]
      return lint0 & (1 << 16) == 0 && lint0 & 0x700 == 0x700
    }
  }

  func takeNonMaskableInterrupt() -> Bool {
    state.withLock { state in
      defer { state.hasNonMaskableInterrupt = false }
      return state.hasNonMaskableInterrupt
    }
  }

  var isNonMaskableInterruptPending: Bool { state.withLock { $0.hasNonMaskableInterrupt } }

  func postNonMaskableInterrupt() {
    state.withLock { $0.hasNonMaskableInterrupt = true }
    wake()
  }

  /// Whether INIT or SIPI is pending.
  var hasSignal: Bool { state.withLock { $0.hasInit || $0.startupPage != nil } }

  /// Takes a pending INIT, which resets the APIC but for its id and base.
  func takeInit() -> Bool {
    let taken = state.withLock { state in
      guard state.hasInit else { return false }
      let old = state
      state = .powerOn(old.id)
      state.base = old.base
      // What came after the INIT stays.
      state.startupPage = old.startupPage
      return true
    }
    if taken { armTimer() }
    return taken
  }

  func takeStartup() -> UInt8? {
    state.withLock { state in
      defer { state.startupPage = nil }
      return state.startupPage
    }
  }

  // MARK: Messages

  /// Delivers an interrupt of one of the delivery modes of the ICR and of messages. SMI does nothing here;
  /// ExtINT comes by LINT0 only.
  func accept(mode: UInt8, vector: UInt8, isLevel: Bool) {
    let isRefused = state.withLock { $0.accept(mode: mode, vector: vector, isLevel: isLevel) }
    if isRefused { note(.receivedIllegalVector) }
    wake()
  }

  /// Raises one of the local interrupts.
  func raiseLocal(_ source: LocalVector) {
    let entry = state.withLock { $0.localVectors[source.rawValue] }
    guard entry & 1 << 16 == 0 else { return }
    let mode = source == .timer || source == .error ? 0 : UInt8(truncatingIfNeeded: entry >> 8) & 7
    accept(mode: mode, vector: UInt8(truncatingIfNeeded: entry), isLevel: false)
  }

  /// Bits of the error status register.
  enum Failure: UInt32 {
    case sentIllegalVector = 5
    case receivedIllegalVector = 6
    case illegalRegisterAddress = 7
  }

  /// Records an error, and raises the error interrupt if it was not recorded yet. (An error interrupt that
  /// has an illegal vector itself ends there.)
  func note(_ failure: Failure) {
    let isNew = state.withLock { state in
      defer { state.pendingErrors |= 1 << failure.rawValue }
      return state.pendingErrors & 1 << failure.rawValue == 0
    }
    if isNew { raiseLocal(.error) }
  }
}

/// A closure as an object: closures kept in a `Mutex` gain a thunk each time they are read.
final class WakeHandler: Sendable {
  let call: @Sendable () -> Void

  init(_ call: @escaping @Sendable () -> Void) { self.call = call }
}

extension LocalAPIC.State {
  /// Returns whether a fixed interrupt is refused for its vector.
  mutating func accept(mode: UInt8, vector: UInt8, isLevel: Bool) -> Bool {
    // A globally disabled APIC takes no part in anything (SDM 3A 11.4.3).
    guard base & 1 << 11 != 0 else { return false }
    switch mode {
    case 0, 1:
      guard isSoftwareEnabled else { return false }
      guard vector >= 16 else { return true }
      requested[vector] = true
      triggerMode[vector] = isLevel
    case 4: hasNonMaskableInterrupt = true
    case 5:
      hasInit = true
      startupPage = nil
    case 6: startupPage = vector
    default: break
    }
    return false
  }

  /// SVR bit 8, and the global enable.
  var isSoftwareEnabled: Bool { spurious & 1 << 8 != 0 && base & 1 << 11 != 0 }

  /// TPR or the class of what is in service, whichever is higher (SDM 3A 11.8.3.1).
  var processorPriority: UInt8 {
    let service = inService.highest ?? 0
    return taskPriority >> 4 >= service >> 4 ? taskPriority : service & 0xF0
  }

  var deliverableVector: UInt8? {
    guard isSoftwareEnabled, let vector = requested.highest else { return nil }
    return vector >> 4 > processorPriority >> 4 ? vector : nil
  }

  var isX2APIC: Bool { base & 1 << 10 != 0 }
}
