import EngineInterface
import Testing

struct GateTests {
  /// Not on a KVM without hardware: INT n at CPL 3 raises #UD there.
  @Test(arguments: EngineChoice.exact)
  func `interrupt and trap gates push their frames`(on choice: EngineChoice) throws {
    let expected: [[UInt32]] = [
      // CS, bytes pushed, IF, saved CS
      [0x08, 12, 0, 0x08], [0x08, 12, 0x200, 0x08],
      // the 16-bit frame, and the CS in it
      [6, 0x08],
      // from CPL 3: SS and ESP too, on the TSS's stack
      [0x08, 20, 0, 0x23, 0x28000, 0x2B],
      fault(13, 0x41 * 8 + 2, privilege: 3), fault(3, at: 1, privilege: 3),
    ]
    try ConformanceTests.expect("gates", on: choice, expected.flatMap { $0 })
  }

  /// Not on a KVM without hardware: a far call through a gate at CPL 3 raises #UD there.
  @Test(arguments: EngineChoice.exact)
  func `call gates switch stacks and copy parameters`(on choice: EngineChoice) throws {
    let expected: [[UInt32]] = [
      [16, 0x08, 0x22, 0x11, 0x20000 - 8],
      [24, 0x23, 0x44, 0x33, 0x27FF8, 0x28000, 0x23, 0], fault(6, at: 0, privilege: 3),
      fault(13, 0x60, privilege: 3), fault(11, 0x60, privilege: 3), fault(13, 0x18, privilege: 3),
      fault(13, 0x08, privilege: 3), fault(10, 0x28, privilege: 3),
      fault(10, privilege: 3),
      [0x6B], fault(6, privilege: 3), fault(13, 0x08, at: 7, privilege: 3),
    ]
    var outcome = try ConformanceMachine("call_gates", on: choice).run()
    // The distance of UD2 from what was tried before means nothing in these two.
    for index in [14, 29] where outcome.reports.indices.contains(index) {
      outcome.reports[index] &= 0xFFFF_0000
    }
    #expect(outcome == Outcome(expected.flatMap { $0 }))
  }
}
