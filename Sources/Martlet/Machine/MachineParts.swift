import EngineInterface

/// A machine that is put together and not yet switched on.
struct MachineParts: Sendable {
  var engine: any Engine
  var board: any MachineBoard
  var hypervisor: any HypervisorCalls
  var clock: RealTimeClock
}

/// Puts a machine together. Blocks: it reads files.
typealias MachineAssembly = @Sendable (VirtualMachineConfiguration) throws -> MachineParts
