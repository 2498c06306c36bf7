private import Glibc
public import GuestMemory
public import MachineTypes
public import X86

/// The 8259 pair as an engine sees it: the INTR pin, and the interrupt-acknowledge cycle.
public protocol ExternalInterruptSource: AnyObject, Sendable {
  /// The level of INTR. Read on every entry: must be cheap.
  var isInterruptRequested: Bool { get }
  /// An INTA cycle: the vector, and the request counts as taken (a spurious one yields IRQ 7).
  func acknowledge() -> InterruptVector
}

/// What every engine is made from.
public struct EngineConfiguration: Sendable {
  public var memory: GuestRAM
  public var virtualCPUCount: Int
  /// What CPUID answers, one table for all CPUs; the engine patches ids and state bits.
  public var cpuid: CPUIDTable
  public var clock: any MachineClock
  public var entropy: any EntropySource
  public var externalInterrupts: (any ExternalInterruptSource)?
  /// MSRs that the engine hands to the machine as `VMExit.msrRead` and `msrWrite`.
  public var delegatedMSRs: [ClosedRange<UInt32>]
  /// How the software engine executes.
  public var execution: ExecutionTier
  /// What the software engine reports on the way; `nil` for nothing.
  public var trace: ExecutionTrace?

  public init(
    memory: GuestRAM, virtualCPUCount: Int, cpuid: CPUIDTable, clock: any MachineClock,
    entropy: any EntropySource, externalInterrupts: (any ExternalInterruptSource)? = nil,
    delegatedMSRs: [ClosedRange<UInt32>] = [], execution: ExecutionTier = .standard,
    trace: ExecutionTrace? = nil
  ) {
    self.memory = memory
    self.virtualCPUCount = virtualCPUCount
    self.cpuid = cpuid
    self.clock = clock
    self.entropy = entropy
    self.externalInterrupts = externalInterrupts
    self.delegatedMSRs = delegatedMSRs
    self.execution = execution
    self.trace = trace
  }
}

/// How the software engine executes guest code. What the guest sees is the same.
public struct ExecutionTier: Hashable, Sendable {
  /// How often a block is interpreted before it is translated; `nil` never translates.
  public var translationThreshold: Int?
  /// Instructions in a translated block at most, 1…64: tests make them short.
  public var maximumBlockLength: Int
  /// Whether each access to data goes the way of one whose page the TLB does not hold. For tests.
  public var missesEveryAccess: Bool
  /// Bytes of translated code that each virtual CPU keeps at most, 1…256 MiB; when they are full it begins anew.
  public var codeCapacity: Int

  public init(
    translationThreshold: Int?, maximumBlockLength: Int = 64, missesEveryAccess: Bool = false,
    codeCapacity: Int = 256 << 20
  ) {
    self.codeCapacity = codeCapacity
    self.missesEveryAccess = missesEveryAccess
    self.translationThreshold = translationThreshold
    self.maximumBlockLength = max(1, min(64, maximumBlockLength))
  }

  /// Translation of what runs more than a few times, unless the environment variable
  /// `MARTLET_TRANSLATION_THRESHOLD` says another number, or `never`.
  public static let standard: ExecutionTier = {
    guard
      let word = unsafe getenv("MARTLET_TRANSLATION_THRESHOLD").map({ unsafe String(cString: $0) })
    else { return ExecutionTier(translationThreshold: 2) }
    return word == "never" ? .interpreter : ExecutionTier(translationThreshold: Int(word) ?? 2)
  }()
  public static let interpreter = ExecutionTier(translationThreshold: nil)
  /// Everything is translated at once: for tests.
  public static let translator = ExecutionTier(translationThreshold: 0)
}

/// Which engine it is, for logs, tests and `martlet doctor`.
public enum EngineKind: String, Sendable {
  case software
  case kvm
}

/// What makes virtual CPUs run. It owns their local APICs.
public protocol Engine: AnyObject, Sendable {
  var kind: EngineKind { get }

  /// The frequency of the guest's time-stamp counter in kHz.
  var tscFrequencyKilohertz: UInt32 { get }

  /// All virtual CPUs, by index. Each belongs to the one thread that runs it, save `kick()`.
  var virtualCPUs: [any VirtualCPU] { get }

  /// Delivers a message-signalled interrupt to the local APICs. From any thread.
  func deliver(_ message: InterruptMessage)

  /// The level of `ExternalInterruptSource.isInterruptRequested` changed. From any thread.
  func externalInterruptsChanged()

  /// Raises NMI on all CPUs whose LINT1 is so programmed. From any thread.
  func raiseNonMaskableInterrupt()
}

/// One virtual CPU. Bound to the thread that runs it, except where stated.
public protocol VirtualCPU: AnyObject, Sendable {
  var index: VirtualCPUIndex { get }

  /// Runs the guest until it needs the machine.
  ///
  /// - Throws: `EngineFailure` when the host or the engine cannot go on; the guest's own errors
  ///   are exits.
  func run(_ entry: VMEntry) throws(EngineFailure) -> VMExit

  /// Sleeps until an interrupt, IPI, timer or kick may have made the CPU runnable again.
  func waitForEvent()

  /// Makes `run` or `waitForEvent` return soon. From any thread; remembered if the CPU is not
  /// running, so that no kick is lost.
  func kick()

  /// Limits `run` to this many instructions, from now; `nil` lifts the limit.
  ///
  /// - Throws: `EngineFailure.unsupported` where the engine cannot count exactly.
  func setInstructionBudget(_ count: UInt64?) throws(EngineFailure)

  /// Instructions retired since creation, where the engine can count; otherwise 0.
  var retiredInstructionCount: UInt64 { get }

  /// What was counted so far. Not while the CPU runs.
  var statistics: ExecutionStatistics { get }

  /// The whole state. Only between runs, when no `VMEntry.completeRead` is owed.
  func saveState() throws(EngineFailure) -> VirtualCPUState

  func restoreState(_ state: VirtualCPUState) throws(EngineFailure)
}

extension VirtualCPU {
  public var statistics: ExecutionStatistics {
    var statistics = ExecutionStatistics()
    statistics.instructions = retiredInstructionCount
    return statistics
  }
}

/// The host or an engine cannot do what was asked.
public enum EngineFailure: Error, Hashable, Sendable {
  /// The engine is not to be had on this host; the text says why and what to do.
  case unavailable(reason: String)
  /// The engine cannot do this at all.
  case unsupported(String)
  /// A system call of the host failed.
  case host(call: String, errno: Int32)
  /// The state to restore is not one that this engine accepts.
  case invalidState(String)
  /// The engine met a condition that it cannot go on from; with the guest address.
  case cannotContinue(String, at: GuestVirtualAddress)
}

extension EngineFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unavailable(let reason): reason
    case .unsupported(let what): "this engine does not support \(what)"
    case .host(let call, let errno): "\(call) failed with errno \(errno)"
    case .invalidState(let what): "the saved state of the virtual CPU is invalid: \(what)"
    case .cannotContinue(let what, let address): "\(what), at guest address \(address)"
    }
  }
}
