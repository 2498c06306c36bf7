public import ChipsetDevices
import DeviceModel
public import EngineInterface
import KVMEngine
import MachineTypes
import Synchronization

/// The way from the devices to the engine, which is made after them. It holds the engine weakly, since
/// the engine holds the devices.
final class EngineLink: InterruptMessageSink {
  private final class Target: Sendable {
    weak let engine: (any Engine)?

    init(_ engine: any Engine) { self.engine = engine }
  }

  private let target = AtomicLazyReference<Target>()

  /// Once, before the machine runs; until then interrupts go nowhere.
  func connect(to engine: any Engine) { _ = target.storeIfNil(Target(engine)) }

  func deliver(_ message: InterruptMessage) { target.load()?.engine?.deliver(message) }

  /// KVM's split irqchip is told what each I/O APIC input sends, so that it reports their EOIs.
  func setInterruptRoute(pin: UInt8, to message: InterruptMessage?) {
    (target.load()?.engine as? KVMExecutionEngine)?.setInterruptRoute(pin: pin, to: message)
  }

  func externalInterruptsChanged() { target.load()?.engine?.externalInterruptsChanged() }
}

extension LegacyInterruptController: ExternalInterruptSource {}
