import EngineInterface
import GuestMemory
import MachineTypes
import SoftwareEngine
import Synchronization
import X86

/// Time that stands still unless moved, with timers that never fire.
final class StillClock: MachineClock {
  let time = Atomic<UInt64>(1_000)
  let wallClockAtStart: Int64 = 0
  var now: VirtualInstant { VirtualInstant(nanoseconds: time.load(ordering: .relaxed)) }
  func makeTimer(_ handler: @escaping @Sendable () -> Void) -> any MachineTimer { NoTimer() }
}

final class NoTimer: MachineTimer {
  func arm(at deadline: VirtualInstant) {}
  func disarm() {}
}

/// A counter in place of randomness.
final class CountingEntropy: EntropySource {
  let count = Atomic<UInt64>(0)
  func next() -> UInt64 { count.add(1, ordering: .relaxed).newValue &* 0x9E37_79B9_7F4A_7C15 }
}

/// A software engine with a little memory, and code in it.
struct EngineFixture {
  let memory: GuestRAM
  let engine: SoftwareExecutionEngine
  /// The state components that 64-bit mode is entered with.
  private let components: UInt64
  static let codeAddress: UInt64 = 0x10_0000
  static let dataAddress: UInt64 = 0x20_0000
  static let stackTop: UInt64 = 0x30_0000

  init(
    cpuid: CPUIDTable, cpuCount: Int = 1, execution: ExecutionTier = .standard,
    trace: ExecutionTrace? = nil
  ) throws {
    memory = try GuestRAM(byteCount: 16 << 20)
    components = cpuid.entry(leaf: 0xD).map { UInt64($0.eax) } ?? 0
    engine = try SoftwareExecutionEngine(
      EngineConfiguration(
        memory: memory, virtualCPUCount: cpuCount, cpuid: cpuid, clock: StillClock(),
        entropy: CountingEntropy(), execution: execution, trace: trace))
  }

  var cpu: any VirtualCPU { engine.virtualCPUs[0] }

  /// Identity-mapped 64-bit mode at CPL 0, code at `codeAddress`.
  func enter64BitMode(_ code: [UInt8], registers: [UInt64] = []) throws {
    // One PML4 entry, one PDPT of 1 GiB pages... as 2 MiB pages, to work on any model.
    try memory.store(UInt64(0x2003), at: GuestPhysicalAddress(0x1000))
    try memory.store(UInt64(0x3003), at: GuestPhysicalAddress(0x2000))
    for index in UInt64(0)..<512 {
      try memory.store(index << 21 | 0x83, at: GuestPhysicalAddress(0x3000 + index * 8))
    }
    try memory.write(code, at: GuestPhysicalAddress(Self.codeAddress))
    var state = VirtualCPUState.reset(signature: 0)
    let data = SegmentState(selector: 16, base: 0, limit: 0xFFFF_FFFF, attributes: 0xC093)
    state.segments = [
      data, SegmentState(selector: 8, base: 0, limit: 0xFFFF_FFFF, attributes: 0xA09B), data, data,
      data, data,
    ]
    state.cr0 = CR0(rawValue: 0x8001_0033)
    state.cr3 = 0x1000
    state.cr4 = [.physicalAddressExtension, .osFXSR, .osXMMExceptions]
    if components != 0 {
      state.cr4.insert(.osXSAVE)
      state.xcr0 = components
    }
    state.efer = [.longModeEnable, .longModeActive, .systemCallExtensions, .noExecuteEnable]
    state.instructionPointer = Self.codeAddress
    state.generalRegisters = Array(repeating: 0, count: 16)
    for (index, value) in registers.enumerated() { state.generalRegisters[index] = value }
    if state.generalRegisters[4] == 0 { state.generalRegisters[4] = Self.stackTop }
    try cpu.restoreState(state)
  }

  /// 32-bit protected mode at CPL 0 without paging, flat segments but FS, code at `codeAddress`.
  func enter32BitMode(_ code: [UInt8], registers: [UInt64]) throws {
    try memory.write(code, at: GuestPhysicalAddress(Self.codeAddress))
    var state = VirtualCPUState.reset(signature: 0)
    let data = SegmentState(selector: 16, base: 0, limit: 0xFFFF_FFFF, attributes: 0xC093)
    state.segments = [
      data, SegmentState(selector: 8, base: 0, limit: 0xFFFF_FFFF, attributes: 0xC09B), data, data,
      SegmentState(selector: 24, base: 0x48, limit: 0xFFFF_FFFF, attributes: 0xC093), data,
    ]
    state.cr0 = CR0(rawValue: 0x33)
    state.cr4 = [.osFXSR, .osXMMExceptions]
    state.instructionPointer = Self.codeAddress
    state.generalRegisters = registers
    try cpu.restoreState(state)
  }

  /// Runs until an exit.
  func run() throws -> VMExit { try cpu.run(.resume) }
}
