internal import CHost
internal import EngineInterface
private import Glibc
internal import MachineTypes
private import Synchronization
internal import X86

/// A virtual CPU that KVM runs.
///
/// `@unchecked Sendable`: bound to the thread that runs it; what other threads reach is atomic.
final class KVMVirtualCPU: VirtualCPU, @unchecked Sendable {
  /// What all virtual CPUs of a machine share.
  struct Environment: Sendable {
    let machine: KVMFile
    let cpuid: KVMCPUID
    let savedMSRs: [MSRIndex]
    let runPageByteCount: Int
    let signature: UInt32
  }

  /// What user space still owes the kernel, or itself, for the last exit.
  enum Unfinished: Equatable {
    case nothing
    /// Repetitions `done…` of a string I/O instruction.
    case ports(done: UInt32)
    /// Bytes `done…` of a memory access whose size is no power of two.
    case memory(done: UInt32)
    case msr
    case hypercall
    case fallback
  }

  let index: VirtualCPUIndex
  let file: KVMFile
  let environment: Environment
  let page: KVMRunPage
  let externalInterrupts: (any ExternalInterruptSource)?
  let fallback: (any InstructionFallback)?
  var unfinished = Unfinished.nothing
  /// The kernel finishes an instruction that left for user space only in the next `KVM_RUN`.
  var kernelHasUnfinishedInstruction = false
  /// What that `KVM_RUN` brought up while the state was being saved.
  var deferredExit: VMExit?

  private let isKicked = Atomic<Bool>(false)
  private let isNonMaskableInterruptRequested = Atomic<Bool>(false)
  /// The thread that is in `KVM_RUN` or about to be; 0 for none.
  private let runningThread = Atomic<Int32>(0)

  init(
    index: VirtualCPUIndex, _ environment: Environment,
    externalInterrupts: (any ExternalInterruptSource)?, fallback: (any InstructionFallback)?
  ) throws(EngineFailure) {
    self.index = index
    self.environment = environment
    self.externalInterrupts = externalInterrupts
    self.fallback = fallback
    file = KVMFile(
      owning: try environment.machine.call(.createVCPU, UInt(index.rawValue)))
    page = try KVMRunPage(of: file, byteCount: environment.runPageByteCount)
    var cpuid = environment.cpuid.words(forAPICID: index.rawValue)
    try file.call(.setCPUID, &cpuid)
  }

  func tscFrequencyKilohertz() throws(EngineFailure) -> UInt32 {
    UInt32(try file.call(.getTSCKilohertz))
  }

  // MARK: Running

  func run(_ entry: VMEntry) throws(EngineFailure) -> VMExit {
    if let exit = try complete(entry) { return exit }
    if let exit = deferredExit {
      deferredExit = nil
      return exit
    }
    while true {
      if isKicked.exchange(false, ordering: .sequentiallyConsistent) {
        page.setImmediateExit(false)
        return .interrupted
      }
      try injectInterrupts()
      guard try enter() else { continue }
      if let exit = try decodeExit() { return exit }
    }
  }

  /// One `KVM_RUN`; false when it came back for a signal, or for no reason.
  func enter() throws(EngineFailure) -> Bool {
    runningThread.store(chost_kvm_kickable_thread(), ordering: .sequentiallyConsistent)
    let result = chost_ioctl_value(file.descriptor, KVMRequest<UInt>.run.code, 0)
    let code = errno
    runningThread.store(0, ordering: .sequentiallyConsistent)
    kernelHasUnfinishedInstruction = false
    if result >= 0 { return true }
    guard code == EINTR || code == EAGAIN else {
      throw .host(call: KVMRequest<UInt>.run.name, errno: code)
    }
    page.setImmediateExit(false)
    // A kick that came just now set both; the loop looks at the flag, which it set first.
    return false
  }

  // MARK: Waking

  func kick() {
    isKicked.store(true, ordering: .sequentiallyConsistent)
    interruptRun()
  }

  /// Makes the running CPU look at its interrupts again. From any thread.
  func reconsiderInterrupts() { interruptRun() }

  func requestNonMaskableInterrupt() {
    isNonMaskableInterruptRequested.store(true, ordering: .sequentiallyConsistent)
    interruptRun()
  }

  /// Either the kernel sees the flag on the way in, or the thread is seen here and gets the signal.
  private func interruptRun() {
    page.setImmediateExit(true)
    let thread = runningThread.load(ordering: .sequentiallyConsistent)
    if thread != 0 { chost_kvm_kick(thread) }
  }

  /// Returns at once: KVM sleeps inside `run`.
  func waitForEvent() {}

  // MARK: Interrupts

  private func injectInterrupts() throws(EngineFailure) {
    if isNonMaskableInterruptRequested.exchange(false, ordering: .sequentiallyConsistent),
      try localInterrupt1IsNonMaskable()
    {
      try file.call(.nonMaskableInterrupt)
    }
    guard let externalInterrupts else { return }
    var isWaiting = externalInterrupts.isInterruptRequested
    if isWaiting, page.header.ready_for_interrupt_injection != 0 {
      var interrupt = kvm_interrupt()
      interrupt.irq = UInt32(externalInterrupts.acknowledge().rawValue)
      try file.call(.interrupt, &interrupt)
      isWaiting = externalInterrupts.isInterruptRequested
    }
    page.header.request_interrupt_window = isWaiting ? 1 : 0
  }

  /// LVT LINT1 (offset 0x360): unmasked, delivery mode NMI.
  private func localInterrupt1IsNonMaskable() throws(EngineFailure) -> Bool {
    let registers = try file.read(.getLocalAPIC, into: kvm_lapic_state())
    let entry = LocalAPICPage.bytes(of: registers)[0x360..<0x364].reversed()
      .reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    return entry & 0x1_0700 == 0x400
  }

  // MARK: Counting

  /// KVM does not count.
  var retiredInstructionCount: UInt64 { 0 }

  func setInstructionBudget(_ count: UInt64?) throws(EngineFailure) {
    if count != nil { throw .unsupported("an instruction budget") }
  }
}
