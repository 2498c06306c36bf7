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
  /// Why it was left: an instruction whose memory access the TLB did not serve, a store to a page with code,
  /// and a branch that was not linked yet or could not be.
  public var memoryExits: UInt64 = 0
  public var storeExits: UInt64 = 0
  public var branchExits: UInt64 = 0
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
    a.storeExits += b.storeExits
    a.branchExits += b.branchExits
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
      entered \(entries) times; left for memory \(memoryExits), stores to code \(storeExits), \
      branches \(branchExits), interpreted instructions \(fallbacks)
      interpreted most: \(most)
      """
  }
}
