public import EngineInterface
public import X86

/// Executes single instructions for another engine, on the same memory.
public final class SingleInstructionExecutor: InstructionFallback {
  private let engine: SoftwareExecutionEngine

  /// - Parameter configuration: that of the engine to be helped; its interrupts are left to it.
  public init(_ configuration: EngineConfiguration) throws(EngineFailure) {
    var configuration = configuration
    configuration.virtualCPUCount = 1
    configuration.externalInterrupts = nil
    engine = try SoftwareExecutionEngine(configuration)
  }

  public func executeOne(
    _ state: VirtualCPUState
  ) throws(EngineFailure) -> (VirtualCPUState, VMExit?) {
    let processor = engine.virtualCPUs[0]
    try processor.restoreState(state)
    try processor.setInstructionBudget(1)
    return try run(.resume)
  }

  public func resume(_ entry: VMEntry) throws(EngineFailure) -> (VirtualCPUState, VMExit?) {
    try run(entry)
  }

  /// HLT needs no exit: the state says that the CPU is halted.
  private func run(_ entry: VMEntry) throws(EngineFailure) -> (VirtualCPUState, VMExit?) {
    let processor = engine.virtualCPUs[0]
    let exit = try processor.run(entry)
    let state = try processor.saveState()
    switch exit {
    case .budgetExhausted, .interrupted, .halt: return (state, nil)
    default: return (state, exit)
    }
  }
}
