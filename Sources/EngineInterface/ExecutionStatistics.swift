/// What an engine counted while it ran guest code. An engine that cannot count leaves zeroes.
public struct ExecutionStatistics: Hashable, Sendable {
  /// Instructions that the guest executed.
  public var instructions: UInt64 = 0
  /// Blocks translated to machine code, the instructions in them, and the bytes of that code.
  public var translatedBlocks: UInt64 = 0
  public var translatedInstructions: UInt64 = 0
  public var codeByteCount: UInt64 = 0
  /// Translated blocks that were written over, and how often all were thrown away.
  public var killedBlocks: UInt64 = 0
  public var flushes: UInt64 = 0
  /// How often translated code was entered.
  public var entries: UInt64 = 0
  /// Of `instructions`, those executed in translated code.
  public var translatedExecutions: UInt64 = 0
  /// Why it was left: an instruction whose memory access the TLB did not serve, an indirect branch whose target was not
  /// known, a branch within its page or to another that was not linked yet (or no longer).
  public var memoryExits: UInt64 = 0
  public var indirectExits: UInt64 = 0
  public var edgeExits: UInt64 = 0
  public var pageEdgeExits: UInt64 = 0
  /// Instructions in translated blocks that the interpreter executes, by mnemonic.
  public var interpreted: [String: UInt64] = [:]

  public init() {}

  public static func += (a: inout ExecutionStatistics, b: ExecutionStatistics) {
    a.instructions += b.instructions
    a.translatedBlocks += b.translatedBlocks
    a.translatedInstructions += b.translatedInstructions
    a.codeByteCount += b.codeByteCount
    a.killedBlocks += b.killedBlocks
    a.flushes += b.flushes
    a.entries += b.entries
    a.memoryExits += b.memoryExits
    a.edgeExits += b.edgeExits
    a.pageEdgeExits += b.pageEdgeExits
    a.indirectExits += b.indirectExits
    a.translatedExecutions += b.translatedExecutions
    a.interpreted.merge(b.interpreted) { $0 + $1 }
  }
}

extension ExecutionStatistics: CustomStringConvertible {
  public var description: String {
    let fallbacks = interpreted.values.reduce(0, +)
    let most = interpreted.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(12)
      .map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    return """
      \(instructions) instructions
      translated: \(translatedBlocks) blocks of \(translatedInstructions) instructions, \
      \(codeByteCount) bytes; \(killedBlocks) blocks written over, \(flushes) flushes
      executed: \(translatedExecutions) instructions translated, \(instructions &- translatedExecutions) interpreted
      entered \(entries) times; left for memory \(memoryExits), indirect branches \(indirectExits), \
      branches within pages \(edgeExits) and between \(pageEdgeExits), \
      instructions not translated \(fallbacks)
      not translated: \(most)
      """
  }
}
