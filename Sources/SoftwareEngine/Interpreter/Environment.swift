import CHost
import EngineInterface
import GuestMemory
import HostSystem
import MachineTypes
import Synchronization
import X86

/// What a virtual CPU works with that is not raw memory: RAM, APIC, clock, caches.
@safe final class CPUEnvironment {
  let index: VirtualCPUIndex
  let memory: GuestRAM
  let clock: any MachineClock
  let entropy: any EntropySource
  let externalInterrupts: (any ExternalInterruptSource)?
  let cpuid: CPUIDTable
  /// What the host's processor does, so that the tiers agree (`HostCPU`).
  let longShiftsOverflowAsShort = HostCPU.longShiftsOverflowAsShort
  let features: FeatureSet
  let apic: LocalAPIC
  let delegatedMSRs: [ClosedRange<UInt32>]
  /// Serialises LOCK operations that no single host instruction can do.
  let splitLock: SplitLock
  let rawMemory: VirtualCPUMemory
  var tlb: TLB
  let blocks: BlockCache
  /// `nil` where code is only interpreted.
  let translator: Translator?
  let trace: ExecutionTrace?
  /// How often a block is interpreted before it is translated.
  let translationThreshold: UInt16
  /// Instructions in a translated block at most.
  let maximumBlockLength: Int
  let missesEveryAccess: Bool
  /// How far the tracker's list of rewritten pages has been read.
  var seenInvalidations: UInt64 = 0
  let host = HostUnit()
  var modelRegisters: ModelRegisters
  /// Vectors of level-triggered interrupts that got their EOI; the machine is told of each.
  var endedInterrupts: [UInt8] = []

  /// The regions of RAM, flat: lookups are on the miss path.
  private let lowEnd: UInt64
  private let highEnd: UInt64
  private let ramBase: UnsafeMutableRawPointer

  init(
    index: VirtualCPUIndex, configuration: EngineConfiguration, apic: LocalAPIC,
    splitLock: SplitLock
  ) throws(HostError) {
    rawMemory = try VirtualCPUMemory()
    self.index = index
    memory = configuration.memory
    clock = configuration.clock
    entropy = configuration.entropy
    externalInterrupts = index == .bootstrap ? configuration.externalInterrupts : nil
    cpuid = configuration.cpuid
    features = FeatureSet(configuration.cpuid)
    self.apic = apic
    delegatedMSRs = configuration.delegatedMSRs
    self.splitLock = splitLock
    tlb = TLB(rawMemory)
    maximumBlockLength = configuration.execution.maximumBlockLength
    missesEveryAccess = configuration.execution.missesEveryAccess
    trace = configuration.trace
    translationThreshold = UInt16(
      clamping: configuration.execution.translationThreshold ?? 0)
    blocks = BlockCache()
    translator =
      configuration.execution.translationThreshold != nil
      ? Translator(
        pageCount: Int(configuration.memory.mapping.byteCount >> 12),
        codeCapacity: configuration.execution.codeCapacity) : nil
    modelRegisters = ModelRegisters(configuration.cpuid)
    lowEnd = memory.regions[0].byteCount
    highEnd = memory.regions.count > 1 ? memory.regions[1].end : 0
    // SAFETY: `memory` is retained by this object.
    unsafe ramBase = memory.mapping.baseAddress
    unsafe scratchBlock = .allocate(capacity: 1)
  }

  /// Where a block that is not kept in the table lies.
  let scratchBlock: UnsafeMutablePointer<Block>

  deinit { unsafe scratchBlock.deallocate() }

  // MARK: RAM

  /// The guest physical address of a page of the RAM mapping.
  @inline(__always)
  func physicalPage(ofRAMPage page: UInt64) -> UInt64 {
    let offset = page << 12
    return offset < lowEnd ? offset : offset - lowEnd + GuestRAM.highMemoryStart
  }

  /// The offset in the RAM mapping of a run of RAM.
  @inline(__always)
  func ramOffset(_ address: UInt64, byteCount: UInt64) -> UInt64? {
    let (end, overflow) = address.addingReportingOverflow(byteCount)
    if overflow { return nil }
    if end <= lowEnd { return address }
    if address >= GuestRAM.highMemoryStart, end <= highEnd {
      return address - GuestRAM.highMemoryStart + lowEnd
    }
    return nil
  }

  @inline(__always)
  func hostAddress(_ address: UInt64, byteCount: UInt64) -> UnsafeMutableRawPointer? {
    guard let offset = ramOffset(address, byteCount: byteCount) else { return nil }
    // SAFETY: `offset` lies in the mapping.
    return unsafe ramBase + Int(offset)
  }

  /// The byte at an offset of the RAM mapping.
  @inline(__always)
  func ramPointer(_ offset: UInt64) -> UnsafePointer<UInt8> {
    unsafe UnsafePointer((ramBase + Int(offset)).assumingMemoryBound(to: UInt8.self))
  }

  /// Reports a store to RAM, so that code decoded from it becomes stale.
  func noteWrite(physical address: UInt64, byteCount: UInt64, by cpu: CPU) {
    guard let offset = ramOffset(address, byteCount: byteCount) else { return }
    noteWrite(ramOffset: offset, byteCount: byteCount, by: cpu)
  }

  func noteWrite(ramOffset offset: UInt64, byteCount: UInt64, by cpu: CPU) {
    let page = Int(offset >> 12)
    let inPage = min(byteCount, 4096 - (offset & 4095))
    let mask = CodeTracker.chunkMask(offset & 4095, inPage)
    // SAFETY: the offset lies in RAM.
    if unsafe memory.codeTracker.chunks[page] & mask != 0 {
      memory.codeTracker.invalidate(page: page)
      cpu.raiseAttention(Attention.codeChanged)
    }
    if inPage < byteCount {
      noteWrite(ramOffset: offset + inPage, byteCount: byteCount - inPage, by: cpu)
    }
  }

  // MARK: Time

  /// The time-stamp counter ticks once a nanosecond.
  static let tscFrequencyKilohertz: UInt32 = 1_000_000

  func timeStamp(_ cpu: CPU) -> UInt64 { clock.now.nanoseconds &+ cpu.state.tscOffset }

  // MARK: Local APIC

  func readLocalAPIC(_ address: UInt64, _ size: UInt64) -> UInt64? {
    guard let offset = apic.mappedOffset(address) else { return nil }
    guard size == 4, offset & 15 == 0 else {
      // Narrow and misaligned accesses are undefined; they see the register's bytes.
      let register = UInt64(apic.read(UInt32(offset & ~15)))
      return offset & 15 < 4 ? register >> (8 * (offset & 3)) : 0
    }
    return UInt64(apic.read(UInt32(offset)))
  }

  func writeLocalAPIC(_ address: UInt64, _ size: UInt64, _ value: UInt64, by cpu: CPU) -> Bool {
    guard let offset = apic.mappedOffset(address) else { return false }
    guard size >= 4, offset & 15 == 0 else { return true }
    noteEnded(apic.write(UInt32(offset), UInt32(truncatingIfNeeded: value)), by: cpu)
    cpu.raiseAttention(Attention.interrupt)
    return true
  }

  /// Remembers that the machine's I/O APICs are to hear of an EOI.
  func noteEnded(_ vector: UInt8?, by cpu: CPU) {
    guard let vector else { return }
    endedInterrupts.append(vector)
    cpu.raiseAttention(Attention.interrupt)
  }
}

/// A lock for atomic operations that cross pages or touch devices.
final class SplitLock: Sendable {
  private let held = Atomic<Bool>(false)

  func lock() {
    while held.exchange(true, ordering: .acquiring) {}
  }

  func unlock() { held.store(false, ordering: .releasing) }
}
