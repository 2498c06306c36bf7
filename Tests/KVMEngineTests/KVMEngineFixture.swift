import EngineInterface
import Foundation
import GuestMemory
import KVMEngine
import MachineTypes
import MartletTesting
import Testing
import X86

/// Whether this host has KVM, and what to say of tests left out for the want of it.
enum KVMPresence {
  static let report = KVMHost.probe()
  static var isUsable: Bool { report.isUsable }
  static var comment: Comment { Comment(rawValue: report.description) }
}

/// A KVM engine with 1 MiB of RAM and real-mode code at 0000:8000.
struct KVMEngineFixture {
  let memory: GuestRAM
  let engine: KVMExecutionEngine

  init(
    _ code: [UInt8], externalInterrupts: (any ExternalInterruptSource)? = nil,
    delegatedMSRs: [ClosedRange<UInt32>] = []
  ) throws {
    memory = try GuestRAM(byteCount: 1 << 20)
    try memory.write(code, at: GuestPhysicalAddress(0x8000))
    var cpuid = CPUIDTable(entries: [])
    cpuid.set(CPUIDEntry(leaf: 0, eax: 1))
    cpuid.set(CPUIDEntry(leaf: 1, eax: 0x0080_0F12, ecx: 0x8020_2001, edx: 0x078B_FBFF))
    engine = try KVMExecutionEngine(
      EngineConfiguration(
        memory: memory, virtualCPUCount: 1, cpuid: cpuid, clock: FakeClock(),
        entropy: SeededEntropy(seed: 1), externalInterrupts: externalInterrupts,
        delegatedMSRs: delegatedMSRs))
    var state = try cpu.saveState()
    state.segments[1] = SegmentState(selector: 0, base: 0, limit: 0xFFFF, attributes: 0x9B)
    state.instructionPointer = 0x8000
    state.generalRegisters[4] = 0x7C00
    try cpu.restoreState(state)
  }

  var cpu: any VirtualCPU { engine.virtualCPUs[0] }

  /// Kicks the CPU after a while, from another thread.
  func kick(afterMilliseconds delay: Double) {
    Thread.detachNewThread { [cpu] in
      Thread.sleep(forTimeInterval: delay / 1000)
      cpu.kick()
    }
  }
}
