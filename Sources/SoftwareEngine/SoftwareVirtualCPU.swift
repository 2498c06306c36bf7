import CHost
import EngineInterface
import HostSystem
import MachineTypes
import Synchronization
import X86

/// A virtual CPU that the interpreter executes.
///
/// `@unchecked Sendable`: bound to the thread that runs it; what other threads reach is `kick()`, the
/// local APIC's mailbox and the attention word, all atomic or locked.
@safe final class SoftwareVirtualCPU: VirtualCPU, @unchecked Sendable {
  let index: VirtualCPUIndex
  let environment: CPUEnvironment
  private let storage: UnsafeMutablePointer<CPUState>
  /// Where the thread sleeps while the CPU is halted.
  private let wakeUp = HostEvent()

  init(index: VirtualCPUIndex, environment: CPUEnvironment) {
    self.index = index
    self.environment = environment
    // SAFETY: freed in deinit; this object owns it.
    unsafe storage = .allocate(capacity: 1)
    unsafe storage.initialize(to: CPUState.initial(environment))
    cpu.resetRegisters()
  }

  deinit {
    unsafe storage.deinitialize(count: 1)
    unsafe storage.deallocate()
  }

  var cpu: CPU {
    // SAFETY: both live as long as this object, which outlives every use of the value.
    unsafe CPU(pointer: storage, environment: Unmanaged.passUnretained(environment))
  }

  // MARK: Running

  func run(_ entry: VMEntry) throws(EngineFailure) -> VMExit {
    let cpu = cpu
    cpu.complete(entry)
    let exit = cpu.run()
    return exit
  }

  var retiredInstructionCount: UInt64 { cpu.state.retired }

  func setInstructionBudget(_ count: UInt64?) throws(EngineFailure) {
    cpu.state.isBudgetLimited = count != nil
    cpu.state.budget = count ?? .max
  }

  // MARK: Waking

  func kick() {
    cpu.raiseAttention(Attention.kick)
    wakeUp.signal()
  }

  /// Something may have become deliverable. From any thread.
  func wake() {
    cpu.raiseAttention(Attention.interrupt)
    wakeUp.signal()
  }

  func waitForEvent() {
    while cpu.attention & Attention.kick == 0, !cpu.hasWakingEvent { wakeUp.wait() }
  }

  // MARK: State

  func saveState() throws(EngineFailure) -> VirtualCPUState { cpu.save() }

  func restoreState(_ state: VirtualCPUState) throws(EngineFailure) {
    if let problem = cpu.restore(state) { throw .invalidState(problem) }
  }
}
