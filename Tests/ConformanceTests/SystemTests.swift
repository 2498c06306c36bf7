import EngineInterface
import Testing

struct SystemTests {
  /// Not on a KVM without hardware: it has neither 32-bit paging nor PAE.
  @Test(arguments: EngineChoice.exact)
  func `32-bit paging and PAE translate and fault`(on choice: EngineChoice) throws {
    func page(_ code: UInt32, _ address: UInt32, privilege: UInt32 = 0) -> [UInt32] {
      fault(14, code, privilege: privilege) + [address]
    }
    let expected: [[UInt32]] = [
      [0x1234_5678], page(3, 0x500004), page(0, 0x800000), [0x4000E3], [0xABCD],
      page(5, 0x32000, privilege: 3), page(5, 0x500000, privilege: 3), page(0, 0x33000),
      page(2, 0x35000), [0],
      // PAE
      [0x89AB_CDEF], page(0, 0x400000), page(0, 0x4000_0000), [0x89AB_CDEF], fault(13),
      page(9, 0x36000),
    ]
    var outcome = try ConformanceMachine("paging_32", on: choice).run()
    // Where a fetch fault happened is the target, whose distance means nothing.
    if outcome.reports.count > 16 { outcome.reports[16] &= 0xFFFF_0000 }
    #expect(outcome == Outcome(expected.flatMap { $0 }))
  }

  /// Not on a KVM without hardware: it delivers no exception through a task gate.
  @Test(arguments: EngineChoice.exact)
  func `tasks switch and nest`(on choice: EngineChoice) throws {
    let expected: [[UInt32]] = [
      // in the other task: TR, back link, NT, ESP, the first TSS still busy
      [0x60, 0x50, 0x4000, 0x1F000, 0x8B],
      // back: EBX, both descriptors, TR, TS
      [0x1234, 0x89, 0x8B, 0x50, 8],
      fault(11, 0x60), fault(13, 0x60), fault(10, 0x60),
      // the task gate: error code, back link
      [0x400, 0x50],
    ]
    try ConformanceTests.expect("tasks", on: choice, expected.flatMap { $0 })
  }

  /// Not on a KVM without hardware: it has no virtual-8086 mode.
  @Test(arguments: EngineChoice.exact)
  func `virtual-8086 mode faults to the monitor`(on choice: EngineChoice) throws {
    try ConformanceTests.expect(
      "virtual_8086", on: choice,
      [
        // error code; CLI's offset: MOV 3, MOV 2, MOV 6, MOV 3, MOV 2, PUSH 1
        0, 17, 0x0800, 0x20000, 0x0FFE, 0x0400, 0x0222, 0x0333, 0x0555, 0x0666, 0, 0, 0x4321,
      ])
  }

  @Test(arguments: EngineChoice.available)
  func `the local APIC ticks once and again`(on choice: EngineChoice) throws {
    try ConformanceTests.expect("local_apic", on: choice, [0x14, 1, 0])
  }

  /// Not on a KVM without hardware: interrupts come some instructions late.
  @Test(arguments: EngineChoice.exact)
  func `the local APIC orders interrupts`(on choice: EngineChoice) throws {
    try ConformanceTests.expect(
      "apic_priorities", on: choice,
      [
        // IRR, then in the handler ISR, PPR, one instruction after STI
        1, 1, 0x60, 1,
        // held back by TPR, then delivered
        0x7E57, 1, 0x60, 1,
        0,
      ])
  }

  @Test(arguments: EngineChoice.available)
  func `a second processor starts by INIT and SIPI`(on choice: EngineChoice) throws {
    try ConformanceTests.expect(
      "startup", on: choice, processorCount: 2, [0x0900_0000, 0x99, 200])
  }
}
