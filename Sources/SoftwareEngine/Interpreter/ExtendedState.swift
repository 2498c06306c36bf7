import X86
import X86Decoder

/// FXSAVE, XSAVE and their kin, MXCSR; and the hand-over to the host's vector units.
extension CPU {
  func executeExtendedState(_ op: Micro, _ instruction: Instruction, next: UInt64) -> Status {
    raise(.invalidOpcode)
  }

  func executeOnHost(_ op: Micro) -> Status { raise(.invalidOpcode) }

  var extendedComponentsInUse: UInt64 { 7 }
  func extendedStateSize(_ components: UInt64) -> Int { components & 4 != 0 ? 832 : 576 }
  func saveExtendedState() -> [UInt8] { VirtualCPUState.initialExtendedState }
  func restoreExtendedState(_ area: [UInt8]) -> String? { nil }
}
