import X86

/// What the guest is told about its processor, and the hypervisor it may talk to.
struct ProcessorModel: Sendable {
  var cpuid: CPUIDTable
  /// MSRs that the engine hands to `hypervisor`.
  var delegatedMSRs: [ClosedRange<UInt32>]
  var hypervisor: any HypervisorCalls

  static func select(_ configuration: VirtualMachineConfiguration) throws -> ProcessorModel {
    ProcessorModel(
      cpuid: CPUIDTable(entries: []), delegatedMSRs: [], hypervisor: NoHypervisorCalls())
  }
}
