import CHost
import MachineTypes
import Testing

@testable import SoftwareEngine

/// The second level, which tells what is still valid by numbers that begin anew after 2^32 flushes.
@Suite(.serialized)
final class TLBTests {
  private let memory: VirtualCPUMemory
  private var tlb: TLB
  private let page: UnsafeMutableRawPointer
  private let chunkWord: UnsafeMutablePointer<UInt64>
  private static let linear: UInt64 = 0x40_0000

  init() throws {
    memory = try VirtualCPUMemory()
    tlb = TLB(memory)
    page = .allocate(byteCount: 4096, alignment: 4096)
    chunkWord = .allocate(capacity: 1)
    chunkWord.initialize(to: 0)
  }

  deinit {
    page.deallocate()
    chunkWord.deallocate()
  }

  private var level2: UnsafeMutablePointer<chost_tlb_level2> {
    memory.level2.assumingMemoryBound(to: chost_tlb_level2.self)
  }

  private func enter(isGlobal: Bool) {
    tlb.enterData(
      Self.linear, .user, ramPage: 1, host: page, chunkWord: chunkWord, isWritable: true,
      isGlobal: isGlobal)
  }

  /// Whether the second level refills the first; the first must not hold the page.
  private var isHeld: Bool { chost_tlb_refill(memory.tlb, level2, Self.linear, 0) == 0 }

  @Test func `a context that is kept is held by the second level`() {
    enter(isGlobal: false)
    tlb.enter(context: 1, isKept: true)
    #expect(!isHeld)
    tlb.enter(context: 0, isKept: true)
    #expect(isHeld)
  }

  @Test func `what was flushed before the contexts' numbers began anew stays flushed`() {
    enter(isGlobal: false)
    tlb.lastGeneration = .max
    tlb.flush(context: 0)
    #expect(level2.pointee.local_generation == 1)
    #expect(!isHeld)
    enter(isGlobal: false)
    tlb.enter(context: 1, isKept: true)
    tlb.enter(context: 0, isKept: true)
    #expect(isHeld)
  }

  @Test func `what was flushed before the global number began anew stays flushed`() {
    enter(isGlobal: true)
    level2.pointee.global_generation = .max
    tlb.flushAll(context: 0)
    #expect(level2.pointee.global_generation == 1)
    #expect(!isHeld)
  }
}
