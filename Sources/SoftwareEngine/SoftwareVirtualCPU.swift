import CHost
import EngineInterface
import GuestMemory
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
  /// Where the thread sleeps while the CPU is halted.
  private let wakeUp = HostEvent()
  /// What an instruction asked for next while the state was being saved.
  private var deferredExit: VMExit?

  init(index: VirtualCPUIndex, environment: CPUEnvironment) {
    self.index = index
    self.environment = environment
    // SAFETY: the environment owns the memory.
    unsafe environment.rawMemory.state.initialize(to: CPUState.initial(environment))
    unsafe environment.rawMemory.frame.initialize(to: TranslationState())
    cpu.resetRegisters()
    if environment.translator != nil { listenForCodeChanges() }
  }

  deinit {
    guard environment.translator != nil else { return }
    let state = unsafe environment.rawMemory.state
    unsafe withUnsafeMutablePointer(to: &state.pointee.attention) {
      unsafe environment.memory.codeTracker.remove($0)
    }
  }

  private func listenForCodeChanges() {
    // SAFETY: the memory is fixed, and lives until the listener is removed.
    let state = unsafe environment.rawMemory.state
    let frame = unsafe environment.rawMemory.frame
    unsafe frame.pointee.extended = UInt64(
      UInt(bitPattern: environment.host.registers.base))
    unsafe frame.pointee.state = UInt64(UInt(bitPattern: state))
    unsafe frame.pointee.tlbSets = UInt64(
      UInt(bitPattern: environment.rawMemory.tlb))
    unsafe frame.pointee.level2 = UInt64(
      UInt(bitPattern: environment.rawMemory.level2))
    let tracker = environment.memory.codeTracker
    unsafe withUnsafeMutablePointer(to: &state.pointee.attention) { attention in
      unsafe withUnsafeMutablePointer(to: &frame.pointee.running) { running in
        unsafe withUnsafeMutablePointer(to: &frame.pointee.jumpMask) { mask in
          unsafe tracker.add(
            CodeTracker.Listener(
              attention: attention, attentionBit: Attention.codeChanged, running: running,
              jumpMask: mask, inside: &state.pointee.insideGuest,
              closed: &state.pointee.closingCount))
        }
      }
    }
    if let translator = environment.translator {
      unsafe withUnsafePointer(to: &frame.pointee.jumpMask) { mask in
        unsafe environment.tlb.jumps.attach(translator, jumpMask: mask)
      }
      unsafe frame.pointee.jumps = environment.tlb.jumps.controlAddress
    }
  }

  var cpu: CPU {
    // SAFETY: both live as long as this object, which outlives every use of the value.
    unsafe CPU(
      pointer: environment.rawMemory.state, environment: Unmanaged.passUnretained(environment))
  }

  // MARK: Running

  func run(_ entry: VMEntry) throws(EngineFailure) -> VMExit {
    if let exit = deferredExit {
      deferredExit = nil
      return exit
    }
    let cpu = cpu
    cpu.complete(entry)
    let exit = cpu.run()
    cpu.traceExit(exit)
    return exit
  }

  var retiredInstructionCount: UInt64 { cpu.state.retired }

  var statistics: ExecutionStatistics {
    var statistics =
      environment.translator.map { unsafe $0.statistics.pointee.summary($0.interpreted) }
      ?? ExecutionStatistics()
    statistics.instructions = cpu.state.retired
    statistics.codeByteCount = environment.translator.map { UInt64($0.codeByteCount) } ?? 0
    return statistics
  }

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

  func saveState() throws(EngineFailure) -> VirtualCPUState {
    finishWrite()
    return cpu.save()
  }

  /// A write that the machine has carried out ends its instruction only in the next run; a state
  /// without that would do it twice.
  private func finishWrite() {
    let cpu = cpu
    switch cpu.state.exit.kind {
    case .portWrite, .mmioWrite, .msrWrite: break
    default: return
    }
    guard deferredExit == nil else { return }
    let budget = cpu.state.isBudgetLimited ? cpu.state.budget : nil
    var isKicked = false
    cpu.complete(.resume)
    repeat {
      cpu.state.isBudgetLimited = true
      cpu.state.budget = 1
      switch cpu.run() {
      case .budgetExhausted: break
      case .interrupted:
        isKicked = true
        continue
      // The next step of the same instruction.
      case let exit: deferredExit = exit
      }
      break
    } while true
    cpu.state.isBudgetLimited = budget != nil
    cpu.state.budget = budget.map { $0 == 0 ? 0 : $0 - 1 } ?? .max
    if isKicked { kick() }
  }

  func restoreState(_ state: VirtualCPUState) throws(EngineFailure) {
    deferredExit = nil
    if let problem = cpu.restore(state) { throw .invalidState(problem) }
  }
}
