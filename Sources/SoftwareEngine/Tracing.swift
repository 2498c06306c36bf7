import CHost
import EngineInterface
import MachineTypes
import X86

/// The lines of an `ExecutionTrace`: the CPU, how many instructions it had executed, and what happened.
extension CPU {
  @inline(__always)
  func trace(_ event: ExecutionTrace.Events, _ text: () -> String) {
    guard let trace = env.trace, trace.events.contains(event) else { return }
    // What translated code has executed and not yet handed over.
    let count = state.retired &- translation.count
    trace.write("cpu\(env.index.rawValue) \(count) \(text())")
  }

  func traceBlock(_ translator: Translator, _ block: UInt32, length: Int, byteCount: Int) {
    let made = unsafe translator.blocks[Int(block)]
    PerfMap.shared?.add(
      translator.executable(made.entry), byteCount, "guest:\(hex(state.linearMask & rip))")
    trace(.blocks) {
      """
      block \(hex(rip)) ram \(hex(made.address)) key \(hex(UInt64(made.key))) \
      \(length) instructions \(byteCount) bytes
      """
    }
  }

  func traceDelivery(_ vector: UInt8, _ errorCode: UInt32?, _ source: EventSource) {
    trace(.interrupts) {
      let code = errorCode.map { " error \(hex(UInt64($0)))" } ?? ""
      let address = vector == 14 && source == .exception ? " address \(hex(state.cr2))" : ""
      return """
        \(source) vector \(vector)\(code)\(address) rip \(hex(rip)) cpl \(state.privilegeLevel)
        """
    }
  }

  func traceExit(_ exit: VMExit) {
    trace(.exits) { "exit \(exit) rip \(hex(rip))" }
  }

  private func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}
