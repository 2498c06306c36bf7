import MachineTypes
import Paravirtualization
import Synchronization
import X86

/// The paravirtual interfaces behind one lock: guests call them rarely.
final class SharedHypervisorCalls: HypervisorCalls {
  private let suite: Mutex<ParavirtualizationSuite>

  init(_ suite: ParavirtualizationSuite) { self.suite = Mutex(suite) }

  func readMSR(_ index: UInt32, on processor: VirtualCPUIndex) -> UInt64? {
    let outcome = suite.withLock { $0.readMSR(MSRIndex(rawValue: index), on: processor) }
    guard case .completed(let value) = outcome else { return nil }
    return value
  }

  func writeMSR(_ index: UInt32, _ value: UInt64, on processor: VirtualCPUIndex) -> Bool {
    let outcome = suite.withLock { $0.writeMSR(MSRIndex(rawValue: index), value, on: processor) }
    guard case .completed = outcome else { return false }
    return true
  }

  func hypercall(
    number: UInt64, arguments: [UInt64], privilegeLevel: UInt8, is64Bit: Bool
  ) -> UInt64 {
    suite.withLock {
      $0.hypercall(number: number, arguments: arguments, privilegeLevel: privilegeLevel)
    }
  }
}
