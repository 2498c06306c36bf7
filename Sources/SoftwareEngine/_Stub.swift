import EngineInterface
import GuestMemory
import MachineTypes
import X86
import X86Decoder

struct ModelRegisters {
  var values: [UInt32: UInt64] = [0x277: 0x0007_0406_0007_0406, 0xFE: 0x508, 0x2FF: 0xC06, 0xC001_1029: 2, 0x1A0: 1, 0x179: 0]
  init(_ t: CPUIDTable) {}
  func read(_ i: UInt32) -> UInt64? { values[i] ?? 0 }
  mutating func write(_ i: UInt32, _ v: UInt64) -> Bool { values[i] = v; return true }
  mutating func restore(_ i: UInt32, _ v: UInt64) -> Bool { write(i, v) }
  var all: [MSRValue] { [] }
}
