import EngineInterface
import X86Decoder

/// What one virtual CPU's translator counts.
struct TranslationStatistics {
  var blocks: UInt64 = 0
  var instructions: UInt64 = 0
  var killedBlocks: UInt64 = 0
  var flushes: UInt64 = 0
  var entries: UInt64 = 0
  var memoryExits: UInt64 = 0
  var edgeExits: UInt64 = 0
  var pageEdgeExits: UInt64 = 0
  var indirectExits: UInt64 = 0
  var executions: UInt64 = 0

  /// - Parameter interpreted: `Translator.interpreted`.
  func summary(_ interpreted: UnsafeMutablePointer<UInt64>) -> ExecutionStatistics {
    var summary = ExecutionStatistics()
    summary.translatedBlocks = blocks
    summary.translatedInstructions = instructions
    summary.killedBlocks = killedBlocks
    summary.flushes = flushes
    summary.entries = entries
    summary.memoryExits = memoryExits
    summary.edgeExits = edgeExits
    summary.pageEdgeExits = pageEdgeExits
    summary.indirectExits = indirectExits
    summary.translatedExecutions = executions
    for operation in Operation.allCases {
      // SAFETY: there is a counter for each operation.
      let count = unsafe interpreted[Int(operation.rawValue)]
      if count > 0 { summary.interpreted["\(operation)"] = count }
    }
    return summary
  }
}
