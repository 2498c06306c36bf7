import EngineInterface
import GuestMemory
import MachineTypes
import X86
import X86Decoder

enum DecodeOutcome { case decoded, invalid, tooLong, needsMoreBytes }
struct Decoder {
  init(mode: CodeMode) {}
  func decode(_ s: RawSpan, into: inout Instruction) -> DecodeOutcome { .invalid }
}
extension Instruction {
  static var empty: Instruction { fatalError() }
}
final class APICBus: Sendable { func deliver(_ m: InterruptMessage) {}; func raiseLINT1() {} }
final class LocalAPIC {
  enum WriteOutcome { case completed(UInt8?), generalProtection }
  init(index: VirtualCPUIndex, clock: any MachineClock, bus: APICBus, tscFrequencyKilohertz: UInt32) {}
  func setWake(_ w: @escaping @Sendable () -> Void) {}
  var taskPriority: UInt8 = 0
  var isEnabled: Bool { true }
  func mappedOffset(_ a: UInt64) -> UInt64? { nil }
  func read(_ o: UInt32) -> UInt32 { 0 }
  func write(_ o: UInt32, _ v: UInt32) -> UInt8? { nil }
  static func ownsMSR(_ i: UInt32) -> Bool { false }
  func readMSR(_ i: UInt32) -> UInt64? { nil }
  func writeMSR(_ i: UInt32, _ v: UInt64) -> WriteOutcome { .generalProtection }
  func deliverableVector() -> UInt8? { nil }
  func acknowledge(_ v: UInt8) {}
  func takeNonMaskableInterrupt() -> Bool { false }
  var isNonMaskableInterruptPending: Bool { false }
  func postNonMaskableInterrupt() {}
  var acceptsExternalInterrupts: Bool { true }
  var hasSignal: Bool { false }
  func takeInit() -> Bool { false }
  func takeStartup() -> UInt8? { nil }
  func save() -> [UInt8] { [] }
  func restore(_ p: [UInt8]) -> Bool { true }
}
struct ModelRegisters {
  init(_ t: CPUIDTable) {}
  func read(_ i: UInt32) -> UInt64? { nil }
  func write(_ i: UInt32, _ v: UInt64) -> Bool { false }
  func restore(_ i: UInt32, _ v: UInt64) -> Bool { false }
  var all: [MSRValue] { [] }
}
