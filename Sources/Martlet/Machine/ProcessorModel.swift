import GuestMemory
import HostSystem
import MachineTypes
import Paravirtualization
import X86

/// What the guest is told about its processor, and the hypervisor it may talk to.
struct ProcessorModel: Sendable {
  var cpuid: CPUIDTable
  /// MSRs that the engine hands to `hypervisor`.
  var delegatedMSRs: [ClosedRange<UInt32>]
  var hypervisor: any HypervisorCalls

  static func select(
    _ configuration: VirtualMachineConfiguration, memory: GuestRAM, time: TimeSource
  ) -> ProcessorModel {
    let leaves = HostCPU.readCPUID().map {
      CPUIDEntry(
        leaf: $0.leaf, subleaf: $0.subleaf, eax: $0.eax, ebx: $0.ebx, ecx: $0.ecx, edx: $0.edx)
    }
    let model: CPUIDModel =
      switch configuration.cpuModel {
      case .automatic, .x86_64: .conservative64
      case .i686: .i686
      case .host: .host
      }
    let engine =
      configuration.engine == .automatic
      ? EngineReport.automaticChoice().engine : configuration.engine
    var cpuid = model.table(
      host: HostCPUID(entries: leaves), cpuCount: configuration.cpuCount,
      offersAVX: engine == .software)
    let suite: ParavirtualizationSuite =
      switch configuration.hypervisorInterface {
      case .kvm: ParavirtualizationSuite([KVMInterface(memory: memory, time: time)])
      case .none: ParavirtualizationSuite([])
      }
    for leaf in suite.leaves { cpuid.set(leaf) }
    return ProcessorModel(
      cpuid: cpuid, delegatedMSRs: suite.msrs,
      hypervisor: suite.isEmpty ? NoHypervisorCalls() : SharedHypervisorCalls(suite))
  }
}
