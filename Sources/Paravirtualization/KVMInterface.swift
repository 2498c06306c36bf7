public import DeviceModel
public import GuestMemory
public import MachineTypes
public import X86

/// KVM's interface, as a Linux guest uses it (Linux `Documentation/virt/kvm/x86/{cpuid,msr,hypercalls}.rst`):
/// identification, `kvmclock` and the pairing of clocks.
public struct KVMInterface: ParavirtualInterface {
  /// Bits of leaf 1, EAX.
  private enum Feature {
    static let clockSource: UInt32 = 1 << 0
    static let noIODelay: UInt32 = 1 << 1
    static let clockSource2: UInt32 = 1 << 3
    static let stableClock: UInt32 = 1 << 24
  }

  private static let wallClockLegacy: UInt32 = 0x11
  private static let systemTimeLegacy: UInt32 = 0x12
  private static let wallClock: UInt32 = 0x4B56_4D00
  private static let systemTime: UInt32 = 0x4B56_4D01

  private let memory: GuestRAM
  private let time: TimeSource
  private var state: State

  private struct State {
    var wallClock: UInt64
    /// What each CPU wrote to its system-time MSR.
    var systemTime: [VirtualCPUIndex: UInt64]

    static let powerOn = State(wallClock: 0, systemTime: [:])
  }

  public init(memory: GuestRAM, time: TimeSource) {
    self.memory = memory
    self.time = time
    state = .powerOn
  }

  public var signature: String { "KVMKVMKVM\0\0\0" }
  public var leafCount: UInt32 { 0x11 }

  public func leaf(_ offset: UInt32) -> CPUIDEntry? {
    switch offset {
    case 1:
      CPUIDEntry(
        leaf: 0,
        eax: Feature.clockSource | Feature.noIODelay | Feature.clockSource2 | Feature.stableClock)
    case 0x10:
      // The timing leaf: TSC and local APIC bus in kHz.
      CPUIDEntry(leaf: 0, eax: time.tscFrequencyKilohertz, ebx: 1_000_000)
    default: nil
    }
  }

  public var msrs: [ClosedRange<UInt32>] {
    [
      Self.wallClockLegacy...Self.systemTimeLegacy, Self.wallClock...Self.systemTime,
    ]
  }

  public mutating func reset() { state = .powerOn }

  public mutating func readMSR(
    _ index: MSRIndex, on processor: VirtualCPUIndex
  ) -> MSROutcome {
    switch index.rawValue {
    case Self.wallClock, Self.wallClockLegacy: .completed(state.wallClock)
    case Self.systemTime, Self.systemTimeLegacy:
      .completed(state.systemTime[processor] ?? 0)
    default: .notHandled
    }
  }

  public mutating func writeMSR(
    _ index: MSRIndex, _ value: UInt64, on processor: VirtualCPUIndex
  ) -> MSROutcome {
    switch index.rawValue {
    case Self.wallClock, Self.wallClockLegacy:
      state.wallClock = value
      if value != 0 { writeWallClock(at: value) }
    case Self.systemTime, Self.systemTimeLegacy:
      state.systemTime[processor] = value
      if value & 1 != 0 { writeSystemTime(at: value & ~1) }
    default: return .notHandled
    }
    return .completed(0)
  }

  /// KVM_HC_VAPIC_POLL_IRQ: makes the hypervisor look for interrupts, which it does anyway.
  private static let pollInterrupts: UInt64 = 1
  /// KVM_HC_CLOCK_PAIRING: the host's time of day, and the TSC at that moment.
  private static let clockPairing: UInt64 = 9
  /// `-KVM_EFAULT` and `-KVM_EOPNOTSUPP`.
  private static let badAddress = UInt64(bitPattern: -14)
  private static let notSupported = UInt64(bitPattern: -95)
  /// `-KVM_EPERM`: user mode may not call.
  private static let notPermitted = UInt64(bitPattern: -1)

  public mutating func hypercall(
    number: UInt64, arguments: [UInt64], privilegeLevel: UInt8
  ) -> UInt64? {
    guard privilegeLevel == 0 else { return Self.notPermitted }
    switch number {
    case Self.pollInterrupts: return 0
    case Self.clockPairing:
      guard arguments.count >= 2 else { return Self.notSupported }
      return pairClocks(at: arguments[0], kind: arguments[1])
    default: return nil
    }
  }

  /// Writes `struct kvm_clock_pairing`, for Linux's ptp_kvm: seconds, nanoseconds, TSC, flags, and 36 bytes of zeroes.
  ///
  /// - Parameter kind: KVM_CLOCK_PAIRING_WALLCLOCK, 0, is the only one there is.
  private func pairClocks(at address: UInt64, kind: UInt64) -> UInt64 {
    guard kind == 0 else { return Self.notSupported }
    let wallClock = time.clock.wallClock
    let words = [
      UInt64(bitPattern: wallClock.seconds), UInt64(wallClock.nanoseconds),
      time.timeStamp(at: time.clock.now), 0, 0, 0, 0, 0,
    ]
    let bytes = words.flatMap { word in
      (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
    }
    do {
      try memory.write(bytes, at: GuestPhysicalAddress(address))
      return 0
    } catch {
      return Self.badAddress
    }
  }

  // MARK: Saved state

  public func save() -> [ParavirtualRegister] {
    let wallClock = ParavirtualRegister(
      processor: 0, index: Self.wallClock, value: state.wallClock)
    let times = state.systemTime.sorted { $0.key.rawValue < $1.key.rawValue }
    return [wallClock]
      + times.map {
        ParavirtualRegister(processor: $0.rawValue, index: Self.systemTime, value: $1)
      }
  }

  public mutating func restore(_ registers: [ParavirtualRegister]) throws(RestoreError) {
    var restored = State.powerOn
    for register in registers {
      switch register.index {
      case Self.wallClock: restored.wallClock = register.value
      case Self.systemTime:
        restored.systemTime[VirtualCPUIndex(rawValue: register.processor)] = register.value
      default:
        throw RestoreError(
          device: "KVM interface",
          reason: "MSR \(MSRIndex(rawValue: register.index)) is none of its registers")
      }
    }
    state = restored
  }

  // MARK: The structures in guest memory

  /// `struct pvclock_wall_clock`: the time of day at system time 0. A guest that names memory it does not
  /// have gets nothing written, as from KVM.
  private func writeWallClock(at address: UInt64) {
    write(at: address, byteCount: 12) { base throws(GuestMemoryError) in
      try memory.store(UInt32(truncatingIfNeeded: time.clock.wallClockAtStart), at: base + 4)
      try memory.store(UInt32(0), at: base + 8)
    }
  }

  /// `struct pvclock_vcpu_time_info`. Written once: the TSC and the machine's clock never drift apart. All
  /// CPUs get the same line, through the clock's start, so that their clocks agree to the nanosecond
  /// however the scale is rounded.
  private func writeSystemTime(at address: UInt64) {
    let scale = PVClockScale(frequency: UInt64(time.tscFrequencyKilohertz) * 1000)
    write(at: address, byteCount: 32) { base throws(GuestMemoryError) in
      try memory.store(time.timeStamp(at: .start), at: base + 8)
      try memory.store(VirtualInstant.start.nanoseconds, at: base + 16)
      try memory.store(scale.multiplier, at: base + 24)
      try memory.store(UInt8(bitPattern: scale.shift), at: base + 28)
      try memory.store(Self.clocksAgree, at: base + 29)
    }
  }

  /// PVCLOCK_TSC_STABLE_BIT.
  private static let clocksAgree: UInt8 = 1 << 0

  /// Writes between an odd version and the next even one, so that a reader sees all or nothing.
  private func write(
    at address: UInt64, byteCount: UInt64,
    _ body: (GuestPhysicalAddress) throws(GuestMemoryError) -> Void
  ) {
    let base = GuestPhysicalAddress(address)
    guard memory.contains(base, byteCount: byteCount),
      let version = try? memory.load(UInt32.self, at: base)
    else { return }
    let odd = (version &+ 1) | 1
    do throws(GuestMemoryError) {
      try memory.store(odd, at: base)
      try body(base)
      try memory.store(odd &+ 1, at: base)
    } catch {
      // `contains` saw all of it.
      preconditionFailure("\(error)")
    }
  }
}

/// For offsets into a structure whose whole extent was found to be RAM.
private func + (address: GuestPhysicalAddress, offset: UInt64) -> GuestPhysicalAddress {
  GuestPhysicalAddress(address.rawValue &+ offset)
}
