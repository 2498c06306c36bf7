import HostSystem
public import EngineInterface
public import MachineTypes
import Synchronization
import X86

/// The engine that needs nothing of the host but time: it interprets and translates.
public final class SoftwareExecutionEngine: Engine {
  public let kind = EngineKind.software
  /// The time-stamp counter ticks once a nanosecond.
  public static let tscFrequencyKilohertz = CPUEnvironment.tscFrequencyKilohertz
  public let tscFrequencyKilohertz = CPUEnvironment.tscFrequencyKilohertz
  public let virtualCPUs: [any VirtualCPU]
  private let bus: APICBus

  /// - Throws: `EngineFailure.host` where memory is short.
  public init(_ configuration: EngineConfiguration) throws(EngineFailure) {
    let bus = APICBus()
    let splitLock = SplitLock()
    var cpus: [SoftwareVirtualCPU] = []
    for number in 0..<UInt32(configuration.virtualCPUCount) {
      let index = VirtualCPUIndex(rawValue: number)
      let apic = LocalAPIC(
        index: index, clock: configuration.clock, bus: bus)
      let environment: CPUEnvironment
      do throws(HostError) {
        environment = try CPUEnvironment(
          index: index, configuration: configuration, apic: apic, splitLock: splitLock)
      } catch {
        throw .host(call: error.call, errno: error.errno)
      }
      cpus.append(SoftwareVirtualCPU(index: index, environment: environment))
    }
    for cpu in cpus {
      cpu.environment.apic.setWake { [weak cpu] in cpu?.wake() }
    }
    self.bus = bus
    virtualCPUs = cpus
  }

  public func deliver(_ message: InterruptMessage) { bus.deliver(message) }

  public func externalInterruptsChanged() {
    (virtualCPUs[0] as? SoftwareVirtualCPU)?.wake()
  }

  public func raiseNonMaskableInterrupt() { bus.raiseLINT1() }
}
