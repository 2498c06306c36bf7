private import CHost
public import EngineInterface
internal import GuestMemory
public import MachineTypes
private import X86

/// The engine that lets the host's processor execute the guest, through `/dev/kvm`.
///
/// The local APICs are KVM's (split irqchip); PIC and I/O APIC are the machine's.
public final class KVMExecutionEngine: Engine {
  public let kind = EngineKind.kvm
  public let tscFrequencyKilohertz: UInt32
  public let virtualCPUs: [any VirtualCPU]

  private let machine: KVMFile
  private let routing: InterruptRouting
  private let processors: [KVMVirtualCPU]
  private let memory: GuestRAM

  /// Three pages for a task state segment that VT-x needs in real mode, and one for its page table:
  /// below the firmware, where no guest has anything.
  private static let tssAddress: UInt = 0xFFFB_D000
  private static let identityMapAddress: UInt64 = 0xFFFB_C000

  /// Makes the virtual machine and its CPUs. Time is the host's: `configuration.clock` and `entropy`
  /// are not used.
  ///
  /// - Parameter fallback: makes what executes an instruction that KVM's emulator lacks; without it
  ///   such an instruction is `EngineFailure.cannotContinue`.
  /// - Throws: `EngineFailure.unavailable` where the host has no usable KVM.
  public init(
    _ configuration: EngineConfiguration,
    fallback: ((VirtualCPUIndex) throws(EngineFailure) -> any InstructionFallback)? = nil
  ) throws(EngineFailure) {
    guard chost_kvm_prepare_kicks() == 0 else { throw .host(call: "sigaction", errno: 0) }
    let device = try KVMFile.openDevice()
    let machine = KVMFile(owning: try device.call(.createVM))
    memory = configuration.memory
    try Self.prepare(machine, memory: configuration.memory)
    try MSRDelegation.set(configuration.delegatedMSRs, on: machine)
    if fallback != nil { try Self.requestEmulationFailures(of: machine) }

    let environment = KVMVirtualCPU.Environment(
      machine: machine, cpuid: try KVMCPUID(configuration.cpuid, on: device),
      savedMSRs: try KVMModelRegisters.saved(on: device),
      runPageByteCount: Int(try device.call(.getVCPUMapSize)),
      signature: configuration.cpuid.signature)
    var processors: [KVMVirtualCPU] = []
    for number in 0..<UInt32(truncatingIfNeeded: configuration.virtualCPUCount) {
      let index = VirtualCPUIndex(rawValue: number)
      processors.append(
        try KVMVirtualCPU(
          index: index, environment,
          externalInterrupts: number == 0 ? configuration.externalInterrupts : nil,
          fallback: try fallback?(index)))
    }
    self.machine = machine
    self.processors = processors
    virtualCPUs = processors
    routing = InterruptRouting(machine: machine)
    tscFrequencyKilohertz = try processors.first?.tscFrequencyKilohertz() ?? 0
  }

  private static func prepare(_ machine: KVMFile, memory: GuestRAM) throws(EngineFailure) {
    var identityMapAddress = identityMapAddress
    try machine.call(.setIdentityMapAddress, &identityMapAddress)
    try machine.call(.setTSSAddress, tssAddress)
    var splitIRQChip = kvm_enable_cap()
    splitIRQChip.cap = UInt32(KVM_CAP_SPLIT_IRQCHIP)
    splitIRQChip.args.0 = UInt64(InterruptRouting.pinCount)
    try machine.call(.enableCapability, &splitIRQChip)
    for (slot, region) in memory.regions.enumerated() {
      // SAFETY: only the number is taken. The engine holds `memory`, and with it the mapping, for
      // longer than the virtual machine lives.
      let address = unsafe UInt(
        bitPattern: memory.hostAddress(of: region.start, byteCount: region.byteCount))
      var description = kvm_userspace_memory_region()
      description.slot = UInt32(slot)
      description.guest_phys_addr = region.start.rawValue
      description.memory_size = region.byteCount
      description.userspace_addr = UInt64(address)
      try machine.call(.setUserMemoryRegion, &description)
    }
  }

  /// Has user-mode instructions that KVM cannot emulate reported too, where KVM would raise #UD.
  private static func requestEmulationFailures(of machine: KVMFile) throws(EngineFailure) {
    guard machine.capability(KVM_CAP_EXIT_ON_EMULATION_FAILURE) > 0 else { return }
    var exits = kvm_enable_cap()
    exits.cap = UInt32(KVM_CAP_EXIT_ON_EMULATION_FAILURE)
    exits.args.0 = 1
    try machine.call(.enableCapability, &exits)
  }

  public func deliver(_ message: InterruptMessage) {
    var signal = kvm_msi()
    signal.address_lo = UInt32(truncatingIfNeeded: message.address)
    signal.address_hi = UInt32(truncatingIfNeeded: message.address >> 32)
    signal.data = message.data
    // A message that no local APIC takes is lost, as on hardware.
    _ = try? machine.call(.signalMSI, &signal)
  }

  public func externalInterruptsChanged() { processors.first?.reconsiderInterrupts() }

  public func raiseNonMaskableInterrupt() {
    for processor in processors { processor.requestNonMaskableInterrupt() }
  }

  /// Tells the engine what an input of the I/O APIC would send now, so that it can report the end of
  /// that interrupt. From any thread.
  ///
  /// - Parameter message: `nil` while the input is masked.
  public func setInterruptRoute(pin: UInt8, to message: InterruptMessage?) {
    routing.set(pin, to: message)
  }
}
