import EngineInterface
import GuestMemory
import MachineTypes
import X86
import X86Decoder

struct ModelRegisters {
  init(_ t: CPUIDTable) {}
  func read(_ i: UInt32) -> UInt64? { nil }
  func write(_ i: UInt32, _ v: UInt64) -> Bool { false }
  func restore(_ i: UInt32, _ v: UInt64) -> Bool { false }
  var all: [MSRValue] { [] }
}
