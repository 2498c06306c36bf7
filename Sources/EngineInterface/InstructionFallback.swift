public import X86

/// Executes the rare instruction that an engine cannot: for `KVMExecutionEngine`, what KVM's own
/// emulator lacks. One for each virtual CPU, used on its thread alone.
public protocol InstructionFallback: AnyObject, Sendable {
  /// Executes one instruction from `state`, whose local APIC page is empty.
  ///
  /// - Returns: the state after it; or, where the instruction asks something of the machine first,
  ///   that exit, with which the instruction is complete unless it owes an answer to `resume`.
  func executeOne(
    _ state: VirtualCPUState
  ) throws(EngineFailure) -> (VirtualCPUState, VMExit?)

  /// Goes on with an instruction after an exit that asked for an answer.
  func resume(_ entry: VMEntry) throws(EngineFailure) -> (VirtualCPUState, VMExit?)
}
