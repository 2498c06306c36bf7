import ConformanceGuests
import EngineInterface
import Foundation
import GuestMemory
import KVMEngine
import MachineTypes
import MartletTesting
import SoftwareEngine
import Synchronization
import X86

/// The engines that guests are run on; each test runs once for each.
enum EngineChoice: String, CaseIterable, Sendable, CustomStringConvertible {
  case software
  case kvm

  var description: String { rawValue }

  var kind: EngineKind {
    switch self {
    case .software: .software
    case .kvm: .kvm
    }
  }

  /// Those that this host has; `reasonForAbsence` says why the others are left out.
  static let available = allCases.filter { $0.reasonForAbsence == nil }

  /// Those that hold to the manuals in every corner. A KVM without hardware behind it emulates, and
  /// is known to be wrong in some; tests of those corners say which.
  static let exact = available.filter { $0 != .kvm || KVMHost.probe().isBackedByHardware }

  var reasonForAbsence: String? {
    guard self == .kvm else { return nil }
    let report = KVMHost.probe()
    return report.isUsable ? nil : report.description
  }

  func make(_ configuration: EngineConfiguration) throws -> any Engine {
    switch self {
    case .software: return try SoftwareExecutionEngine(configuration)
    case .kvm:
      return try KVMExecutionEngine(configuration) { _ throws(EngineFailure) in
        try SingleInstructionExecutor(configuration)
      }
    }
  }
}

/// What a guest did: the values it reported, and how it ended.
struct Outcome: Equatable, CustomStringConvertible {
  enum End: Equatable {
    case finished
    case shutdown
    case tookTooLong(at: UInt64)
    case unexpected(VMExit)
    case failed(EngineFailure)
  }

  var reports: [UInt32]
  var end: End

  init(_ reports: [UInt32], _ end: End = .finished) {
    self.reports = reports
    self.end = end
  }

  var description: String {
    "\(end): " + reports.map { "0x" + String($0, radix: 16) }.joined(separator: " ")
  }
}

enum ConformanceError: Error {
  case noSuchGuest(String)
}

/// Runs a guest of the target ConformanceGuests on an engine: 16 MiB of RAM, no devices but the two
/// test ports.
final class ConformanceMachine: Sendable {
  static let reportPort = PortAddress(0xF4)
  static let endPort = PortAddress(0xF5)
  static let codeAddress: UInt64 = 0x8000
  static let timeLimit: TimeInterval = 10

  let memory: GuestRAM
  let engine: any Engine
  private let reports = Mutex<[UInt32]>([])
  private let end = Mutex<Outcome.End?>(nil)

  init(_ guest: String, on choice: EngineChoice, processorCount: Int = 1) throws {
    var byteCount = 0
    guard let code = conformance_guest(guest, &byteCount) else {
      throw ConformanceError.noSuchGuest(guest)
    }
    memory = try GuestRAM(byteCount: 16 << 20)
    try memory.write(
      Array(UnsafeBufferPointer(start: code, count: byteCount)),
      at: GuestPhysicalAddress(Self.codeAddress))
    engine = try choice.make(
      EngineConfiguration(
        memory: memory, virtualCPUCount: processorCount, cpuid: Self.cpuid, clock: HostTestClock(),
        entropy: SeededEntropy(seed: 1)))
    var state = try engine.virtualCPUs[0].saveState()
    state.segments[1] = SegmentState(selector: 0, base: 0, limit: 0xFFFF, attributes: 0x9B)
    state.instructionPointer = Self.codeAddress
    state.generalRegisters[4] = 0x7C00
    try engine.virtualCPUs[0].restoreState(state)
  }

  /// Runs all processors until the guest ends.
  func run() -> Outcome {
    let processors = engine.virtualCPUs
    let running = DispatchGroup()
    for processor in processors {
      running.enter()
      Thread.detachNewThread {
        self.run(processor)
        running.leave()
      }
    }
    if running.wait(timeout: .now() + Self.timeLimit) == .timedOut {
      finish(.tookTooLong(at: 0))
      running.wait()
    }
    return Outcome(reports.withLock { $0 }, end.withLock { $0 } ?? .finished)
  }

  /// Runs the only processor until it has reported `count` values in all, or ended.
  func run(untilReports count: Int) throws {
    let processor = engine.virtualCPUs[0]
    while reports.withLock({ $0.count }) < count, end.withLock({ $0 == nil }) {
      switch try processor.run(.resume) {
      case .portWrite(Self.reportPort, _, let value): reports.withLock { $0.append(value) }
      case .portWrite(Self.endPort, _, _): end.withLock { $0 = .finished }
      case let exit: end.withLock { $0 = .unexpected(exit) }
      }
    }
  }

  /// Goes on where another machine is: its memory, its processor, what it reported.
  func take(over other: ConformanceMachine) throws {
    let start = GuestPhysicalAddress(0)
    // Guests leave what lies beyond their 8 MiB alone.
    try memory.write(try other.memory.bytes(at: start, count: 8 << 20), at: start)
    try engine.virtualCPUs[0].restoreState(try other.engine.virtualCPUs[0].saveState())
    let reported = other.reports.withLock { $0 }
    reports.withLock { $0 = reported }
  }

  private func finish(_ reason: Outcome.End) {
    end.withLock { if $0 == nil { $0 = reason } }
    for processor in engine.virtualCPUs { processor.kick() }
  }

  private func run(_ processor: any VirtualCPU) {
    var entry = VMEntry.resume
    do {
      while end.withLock({ $0 == nil }) {
        let exit = try processor.run(entry)
        entry = .resume
        switch exit {
        case .portWrite(Self.reportPort, _, let value): reports.withLock { $0.append(value) }
        case .portWrite(Self.endPort, _, _): finish(.finished)
        case .portRead(Self.reportPort, _): entry = .completeRead(0x5A)
        case .halt: processor.waitForEvent()
        case .shutdown: finish(.shutdown)
        case .interrupted: noteWhereItIs(processor)
        default: finish(.unexpected(exit))
        }
      }
    } catch {
      finish(.failed(error))
    }
  }

  /// For a guest that took too long: where it was.
  private func noteWhereItIs(_ processor: any VirtualCPU) {
    guard let state = try? processor.saveState() else { return }
    end.withLock {
      if $0 == .tookTooLong(at: 0) { $0 = .tookTooLong(at: state.instructionPointer) }
    }
  }

  /// A processor with what the guests use.
  static let cpuid: CPUIDTable = {
    var table = CPUIDTable(entries: [])
    table.set(CPUIDEntry(leaf: 0, eax: 0xD, ebx: 0x6874_7541, ecx: 0x444D_4163, edx: 0x6974_6E65))
    // With PCID and the TSC-deadline timer.
    table.set(CPUIDEntry(leaf: 1, eax: 0x0080_0F12, ebx: 0x800, ecx: 0x8122_2001, edx: 0x078B_FBFF))
    // SMEP, INVPCID and SMAP.
    table.set(CPUIDEntry(leaf: 7, isIndexed: true, ebx: 1 << 7 | 1 << 10 | 1 << 20))
    table.set(CPUIDEntry(leaf: 0x8000_0000, eax: 0x8000_0008))
    table.set(CPUIDEntry(leaf: 0x8000_0001, eax: 0x0080_0F12, ecx: 1, edx: 0x2C10_0800))
    table.set(CPUIDEntry(leaf: 0x8000_0008, eax: 0x3028))
    return table
  }()
}
